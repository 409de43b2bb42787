#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

template <class T>
struct Problem {
  LogSoftmaxArgs args;
  LogSoftmaxBackwardArgs back;
  std::vector<T> logits, logprob, lse, entropy, seed;
  std::vector<int32_t> targets;

  Problem(int64_t rows, int64_t columns, double temperature, uint64_t number) {
    Values random(number);
    args.dtype = DTypeOf<T>();
    args.rows = rows;
    args.columns = columns;
    args.logits_stride = columns + 3;
    args.inverse_temperature = 1 / temperature;
    logits = random.Array<T>(rows * args.logits_stride, -6, 6);
    seed = random.Array<T>(rows);
    for (auto* values : {&logprob, &lse, &entropy}) values->assign(static_cast<size_t>(rows), T(0));
    for (int64_t r = 0; r < rows; ++r) {
      targets.push_back(r % 4 == 1 ? -1 : static_cast<int32_t>(random.Below(columns)));
    }
    args.logits = logits.data();
    args.targets = targets.data();
    args.logprob = logprob.data();
    args.lse = lse.data();
    args.entropy = entropy.data();
    back.dtype = args.dtype;
    back.rows = rows;
    back.columns = columns;
    back.logits = logits.data();
    back.logits_stride = args.logits_stride;
    back.inverse_temperature = args.inverse_temperature;
    back.targets = targets.data();
    back.lse = lse.data();
    back.dlogprob = seed.data();
  }
  Problem(const Problem&) = delete;
};

TEST(Logprob, MachinesAgree) {
  for (int64_t columns : {1, 11, 16, 257, 5000}) {
    for (int64_t rows : {1, 6, 37}) {
      for (double temperature : {1.0, 0.7}) {
        const double tolerance = kEpsilon * static_cast<double>(32 + columns / 16);
        ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
          Problem<decltype(number)> problem(rows, columns, temperature, static_cast<uint64_t>(columns * rows));
          kernels.log_softmax(problem.args, pool);
          Outputs<decltype(number)> out;
          out.Take(problem.logprob);
          out.Take(problem.lse);
          out.Take(problem.entropy);
          kernels.log_softmax_backward(problem.back, pool);
          out.Take(problem.logits);
          problem.args.entropy = nullptr;  // the other path
          kernels.log_softmax(problem.args, pool);
          out.Take(problem.lse);
          return out.values;
        });
      }
    }
  }
}

TEST(Logprob, KnownDistribution) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    const float logits[] = {0, std::log(2.0f), 0, std::log(4.0f)};  // probabilities 1/8, 1/4, 1/8, 1/2
    float logprob = 0, lse = 0, entropy = 0;
    const int32_t target = 3;
    LogSoftmaxArgs args;
    args.rows = 1;
    args.columns = args.logits_stride = 4;
    args.logits = logits;
    args.targets = &target;
    args.logprob = &logprob;
    args.lse = &lse;
    args.entropy = &entropy;
    KernelsFor(machine).log_softmax(args, pool);
    EXPECT_NEAR(logprob, std::log(0.5), 1e-6);
    EXPECT_NEAR(lse, std::log(8.0), 1e-6);
    EXPECT_NEAR(entropy, 1.75 * std::log(2.0), 1e-6);
  }
}

TEST(Logprob, ExtremeLogitsStayFinite) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    std::vector<float> logits(20, -3e4f);
    logits[17] = 3e4f;
    float logprob = 1, lse = 0, entropy = 1, seed = 1;
    const int32_t target = 17;
    LogSoftmaxArgs args;
    args.rows = 1;
    args.columns = args.logits_stride = 20;
    args.logits = logits.data();
    args.targets = &target;
    args.logprob = &logprob;
    args.lse = &lse;
    args.entropy = &entropy;
    KernelsFor(machine).log_softmax(args, pool);
    EXPECT_EQ(logprob, 0);
    EXPECT_EQ(entropy, 0);
    LogSoftmaxBackwardArgs back;
    back.rows = 1;
    back.columns = back.logits_stride = 20;
    back.logits = logits.data();
    back.targets = &target;
    back.lse = &lse;
    back.dlogprob = &seed;
    KernelsFor(machine).log_softmax_backward(back, pool);
    for (float g : logits) EXPECT_EQ(g, 0);
  }
}

TEST(Logprob, BackwardIsTheDerivative) {
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  Problem<double> problem(6, 13, 1.3, 4);
  kernels.log_softmax(problem.args, pool);
  std::vector<double> gradient = problem.logits;
  problem.back.logits = gradient.data();
  kernels.log_softmax_backward(problem.back, pool);
  for (int64_t r = 0; r < 6; ++r) {  // the gaps between rows have no gradient
    for (int64_t c = 13; c < 16; ++c) gradient[r * 16 + c] = 0;
  }
  Values choose(5);
  ExpectGradient(
      problem.logits, gradient,
      [&] {
        kernels.log_softmax(problem.args, pool);
        double sum = 0;
        for (size_t r = 0; r < 6; ++r) sum += problem.logprob[r] * problem.seed[r];
        return sum;
      },
      choose, 60);
}

}  // namespace
}  // namespace sputnik::testing
