#include "op/update.h"

#include <cmath>

#include "base/random.h"
#include "tests/support/golden.h"
#include "tests/support/machines.h"

namespace sputnik {
namespace {

class UpdateTest : public testing::TestWithParam<std::string> {
 protected:
  UpdateTest() : golden_(GoldenFolder() / "op" / "optimizer.safetensors") {}

  static constexpr int kSteps = 10;
  SafetensorsFile golden_;
  ThreadPool pool_{2};
  Machine machine_{KernelsFor(GetParam()), pool_};
};

Tensor Flat(std::vector<float>& values) {
  return Tensor(values.data(), DType::kF32, {static_cast<int64_t>(values.size())});
}

// Ten steps of torch.optim.AdamW (tools/model_oracle.py).
TEST_P(UpdateTest, AdamWEqualsTorch) {
  for (const std::string name : {"wide", "tall", "square"}) {
    std::vector<float> parameter = StoredValues<float>(golden_, name + ".start");
    const std::vector<float> start = parameter, gradients = StoredValues<float>(golden_, name + ".gradients");
    std::vector<float> first(parameter.size()), second(parameter.size());
    for (int step = 0; step < kSteps; ++step) {
      // Gradients come twice as large and are scaled back.
      std::vector<float> gradient(gradients.begin() + step * std::ssize(parameter),
                                  gradients.begin() + (step + 1) * std::ssize(parameter));
      for (float& g : gradient) g *= 2;
      AdamWUpdate(machine_, {.lr = 0.02, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1}, step + 1,
                  0.5, Flat(parameter), Flat(gradient), Flat(first), Flat(second));
    }
    const std::vector<float> expected = StoredValues<float>(golden_, name + ".adamw");
    EXPECT_LE(Distance(parameter, expected), 1e-5 * Distance(start, expected)) << name;
  }
}

// Ten steps of torch.optim.Muon with adjust_lr_fn "match_rms_adamw", its iteration in float32; all matrices in one
// call.
TEST_P(UpdateTest, MuonEqualsTorch) {
  const std::vector<std::string> names = {"wide", "tall", "square"};
  const int64_t rows[] = {6, 17, 9}, columns[] = {20, 5, 9};
  std::vector<std::vector<float>> parameters, gradients, momenta;
  for (const std::string& name : names) {
    parameters.push_back(StoredValues<float>(golden_, name + ".start"));
    gradients.push_back(StoredValues<float>(golden_, name + ".gradients"));
    for (float& g : gradients.back()) g *= 4;
    momenta.emplace_back(parameters.back().size());
  }
  const std::vector<std::vector<float>> start = parameters;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<MuonMatrix> matrices;
    for (size_t i = 0; i < names.size(); ++i) {
      matrices.push_back({parameters[i].data(), gradients[i].data() + step * std::ssize(parameters[i]),
                          momenta[i].data(), rows[i], columns[i]});
    }
    MuonUpdate(machine_, {.lr = 0.02, .momentum = 0.95, .weight_decay = 0.1}, 0.25, DType::kF32, matrices);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const std::vector<float> expected = StoredValues<float>(golden_, names[i] + ".muon");
    EXPECT_LE(Distance(parameters[i], expected), 1e-5 * Distance(start[i], expected)) << names[i];
  }
}

// The update of a full-rank matrix has root mean square near rms_factor · lr, whatever the shape: what lets one
// learning rate serve AdamW and Muon.
TEST_P(UpdateTest, MuonMovesEveryShapeAlike) {
  Random random(3, kStreamTest);
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{8, 64}, {64, 8}, {24, 24}}) {
    std::vector<float> parameter(static_cast<size_t>(rows * columns)), gradient(parameter.size()),
        momentum(parameter.size());
    for (float& g : gradient) g = static_cast<float>(random.Normal());
    const MuonMatrix matrix{parameter.data(), gradient.data(), momentum.data(), rows, columns};
    MuonUpdate(machine_, {.lr = 1}, 1, DType::kF32, {&matrix, 1});
    const double rms = NormOf(parameter) / std::sqrt(static_cast<double>(rows * columns));
    EXPECT_GT(rms, 0.7 * 0.2) << rows;
    EXPECT_LT(rms, 1.2 * 0.2) << rows;
  }
}

TEST_P(UpdateTest, ThreadsChangeNoBit) {
  std::vector<float> results[2];
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    Random random(5, kStreamTest);
    std::vector<float> p(70 * 33), g(p.size()), m(p.size()), v(p.size()), momentum(p.size());
    for (float& x : p) x = static_cast<float>(random.Normal());
    for (float& x : g) x = static_cast<float>(random.Normal());
    const Machine machine{machine_.kernels, pool};
    for (int step = 1; step <= 3; ++step) {
      AdamWUpdate(machine, {.lr = 0.01, .weight_decay = 0.1}, step, 1, Flat(p), Flat(g), Flat(m), Flat(v));
      const MuonMatrix matrix{p.data(), g.data(), momentum.data(), 70, 33};
      MuonUpdate(machine, {.lr = 0.01}, 1, DType::kF32, {&matrix, 1});
    }
    p.push_back(static_cast<float>(SumOfSquares(machine, Flat(g))));
    results[threads > 1] = p;
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_P(UpdateTest, SumOfSquaresIsTheNorm) {
  Random random(6, kStreamTest);
  for (const size_t n : {size_t{0}, size_t{1}, size_t{15}, size_t{4096}, size_t{10001}}) {
    std::vector<float> x(n);
    for (float& value : x) value = static_cast<float>(random.Normal());
    const double exact = NormOf(x) * NormOf(x);
    EXPECT_NEAR(SumOfSquares(machine_, Flat(x)), exact, 300 * 0x1p-24 * exact) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, UpdateTest, testing::ValuesIn(AvailableMachines()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace sputnik
