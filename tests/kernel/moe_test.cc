#include <numeric>

#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

struct Choice {
  RouterScore score;
  RouterMethod method;
  int64_t experts, top_k, groups, top_groups;
  bool normalise;
};
const Choice kChoices[] = {
    {RouterScore::kSigmoid, RouterMethod::kNoAuxTc, 256, 8, 8, 4, true},
    {RouterScore::kSigmoid, RouterMethod::kNoAuxTc, 12, 3, 1, 1, true},
    {RouterScore::kSoftmax, RouterMethod::kGreedy, 10, 3, 1, 1, false},
    {RouterScore::kSoftmax, RouterMethod::kGroupLimitedGreedy, 160, 6, 8, 3, false},
    {RouterScore::kSoftmax, RouterMethod::kGreedy, 37, 4, 1, 1, true},
    {RouterScore::kSigmoid, RouterMethod::kGreedy, 5, 5, 1, 1, false},
    {RouterScore::kSigmoid, RouterMethod::kNoAuxTc, 6, 2, 6, 3, true},  // groups of one
};

template <class T>
struct Routing {
  RouterArgs args;
  RouterBackwardArgs back;
  std::vector<T> logits, scores, weights, dweights, dscores, dlogits;
  std::vector<float> bias;
  std::vector<int32_t> chosen;

  Routing(const Choice& choice, int64_t tokens, uint64_t seed) {
    Values random(seed);
    args.dtype = DTypeOf<T>();
    args.score = choice.score;
    args.method = choice.method;
    args.tokens = tokens;
    args.experts = choice.experts;
    args.top_k = choice.top_k;
    args.groups = choice.groups;
    args.top_groups = choice.top_groups;
    args.normalise = choice.normalise;
    args.scaling = 2.5;
    logits = random.Array<T>(tokens * choice.experts, -2, 2);
    for (int64_t t = 0; t < tokens; t += 3) logits[t * choice.experts + 1] = logits[t * choice.experts + 4];  // ties
    bias = random.Array<float>(choice.experts, -0.25, 0.25);
    scores.assign(logits.size(), T(0));
    weights.assign(static_cast<size_t>(tokens * choice.top_k), T(0));
    chosen.assign(weights.size(), -1);
    dweights = random.Array<T>(tokens * choice.top_k);
    dscores = random.Array<T>(tokens * choice.experts, -0.1f, 0.1f);
    dlogits = random.Array<T>(tokens * choice.experts);
    args.logits = logits.data();
    args.bias = bias.data();
    args.scores = scores.data();
    args.chosen = chosen.data();
    args.weights = weights.data();
    back.forward = args;
    back.dweights = dweights.data();
    back.dscores = dscores.data();
    back.dlogits = dlogits.data();
  }
  Routing(const Routing&) = delete;
};

TEST(Moe, RoutersAgree) {
  uint64_t seed = 0;
  for (const Choice& choice : kChoices) {
    ++seed;
    const double tolerance = kEpsilon * static_cast<double>(16 + choice.experts / 16 + 4 * choice.top_k);
    ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      using T = decltype(number);
      Routing<T> routing(choice, seed == 1 ? 150 : 33, seed);
      kernels.router(routing.args, pool);
      kernels.router_backward(routing.back, pool);
      Outputs<T> out;
      out.Take(routing.scores);
      out.Take(routing.weights);
      out.Take(routing.dlogits);
      for (int32_t expert : routing.chosen) out.values.push_back(static_cast<T>(expert) / T(1024));
      routing.back.dscores = nullptr;
      kernels.router_backward(routing.back, pool);
      out.Take(routing.dlogits);
      return out.values;
    });
  }
}

TEST(Moe, RouterBackwardIsTheDerivative) {
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  for (const Choice& choice : kChoices) {
    Routing<double> routing(choice, 2, 77);
    kernels.router(routing.args, pool);
    std::fill(routing.dlogits.begin(), routing.dlogits.end(), 0.0);
    kernels.router_backward(routing.back, pool);
    const std::vector<int32_t> chosen = routing.chosen;
    bool flipped = false;
    const auto loss = [&] {
      kernels.router(routing.args, pool);
      flipped = flipped || routing.chosen != chosen;
      double sum = 0;
      for (size_t i = 0; i < routing.weights.size(); ++i) sum += routing.weights[i] * routing.dweights[i];
      for (size_t i = 0; i < routing.scores.size(); ++i) sum += routing.scores[i] * routing.dscores[i];
      return sum;
    };
    routing.logits[1] += 0.01;  // no ties here: a step must not change who is chosen
    kernels.router(routing.args, pool);
    std::fill(routing.dlogits.begin(), routing.dlogits.end(), 0.0);
    kernels.router_backward(routing.back, pool);
    const std::vector<int32_t> settled = routing.chosen;
    flipped = false;
    Values choose(8);
    const std::vector<double> gradient = routing.dlogits;
    ExpectGradient(
        routing.logits, gradient,
        [&] {
          const double value = loss();
          EXPECT_EQ(routing.chosen, settled);
          return value;
        },
        choose, 30);
  }
}

// One token whose sigmoid scores are given, as a router sees them.
std::vector<int32_t> Chosen(const char* machine, RouterArgs args, std::vector<float> values, std::vector<float> bias,
                            std::vector<float>* weights) {
  ThreadPool pool(1);
  for (float& value : values) value = std::log(value / (1 - value));
  std::vector<float> scores(values.size());
  std::vector<int32_t> chosen(static_cast<size_t>(args.top_k));
  weights->resize(chosen.size());
  args.tokens = 1;
  args.experts = static_cast<int64_t>(values.size());
  args.logits = values.data();
  args.bias = bias.empty() ? nullptr : bias.data();
  args.scores = scores.data();
  args.chosen = chosen.data();
  args.weights = weights->data();
  KernelsFor(machine).router(args, pool);
  return chosen;
}

TEST(Moe, MethodsByHand) {
  for (const char* machine : {"reference", "cpu"}) {
    SCOPED_TRACE(machine);
    std::vector<float> weights;
    RouterArgs args;
    args.top_k = 2;
    args.normalise = false;
    args.method = RouterMethod::kGreedy;
    const std::vector<float> scores = {0.1f, 0.9f, 0.6f, 0.6f, 0.2f, 0.5f};
    EXPECT_EQ(Chosen(machine, args, scores, {}, &weights), (std::vector<int32_t>{1, 2}));  // the tie goes to the lower
    EXPECT_NEAR(weights[0], 0.9, 1e-6);

    // Three groups of two. By their maximum: 0.9, 0.6, 0.5; one group kept.
    args.method = RouterMethod::kGroupLimitedGreedy;
    args.groups = 3;
    args.top_groups = 1;
    EXPECT_EQ(Chosen(machine, args, scores, {}, &weights), (std::vector<int32_t>{1, 0}));

    // By the sum of the two best: 1.0, 1.2, 0.7.
    args.method = RouterMethod::kNoAuxTc;
    args.normalise = true;
    args.scaling = 2;
    EXPECT_EQ(Chosen(machine, args, scores, {}, &weights), (std::vector<int32_t>{2, 3}));
    EXPECT_NEAR(weights[0], 1.0, 1e-6);
    EXPECT_NEAR(weights[1], 1.0, 1e-6);

    // The bias chooses but does not weigh: the last group now has 0.2 + 0.5 + 2.
    EXPECT_EQ(Chosen(machine, args, scores, {0, 0, 0, 0, 1, 1}, &weights), (std::vector<int32_t>{5, 4}));
    EXPECT_NEAR(weights[0], 2 * 0.5 / 0.7, 1e-5);
    EXPECT_NEAR(weights[1], 2 * 0.2 / 0.7, 1e-5);

    // Biased scores below zero: dropped groups are -infinity, not zero, so they stay dropped.
    EXPECT_EQ(Chosen(machine, args, scores, {-3, -3, -2, -2, -5, -5}, &weights), (std::vector<int32_t>{2, 3}));

    // More experts wanted than the kept group has: the dropped follow, lowest first.
    args.top_k = 4;
    EXPECT_EQ(Chosen(machine, args, scores, {}, &weights), (std::vector<int32_t>{2, 3, 0, 1}));

    // Infinite biases of both signs leave a group without a score, not the router without an end.
    const float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(Chosen(machine, args, scores, {infinity, -infinity, 0, 0, 0, 0}, &weights),
              (std::vector<int32_t>{2, 3, 0, 1}));

    // NaN is never better than a number, and never an expert twice or out of range.
    args.method = RouterMethod::kGreedy;
    args.top_k = 6;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(Chosen(machine, args, {nan, 0.5f, nan, 0.6f, nan, 0.1f}, {}, &weights),
              (std::vector<int32_t>{3, 1, 5, 0, 2, 4}));
  }
}

TEST(Moe, DispatchSortsByExpertKeepingTokenOrder) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    const int32_t chosen[] = {2, 0, 0, 3, 2, 0};
    std::vector<int32_t> start(5), token(6), slot(6);
    DispatchArgs args;
    args.tokens = 3;
    args.experts = 4;
    args.top_k = 2;
    args.chosen = chosen;
    args.group_start = start.data();
    args.row_token = token.data();
    args.slot_row = slot.data();
    KernelsFor(machine).dispatch(args, pool);
    EXPECT_EQ(start, (std::vector<int32_t>{0, 3, 3, 5, 6}));
    EXPECT_EQ(token, (std::vector<int32_t>{0, 1, 2, 0, 2, 1}));
    EXPECT_EQ(slot, (std::vector<int32_t>{3, 0, 1, 5, 4, 2}));
  }
}

template <class T>
struct Combining {
  CombineBackwardArgs args;
  std::vector<int32_t> slot_row;
  std::vector<T> weights, x, base, y, dy, dx, dweights;

  Combining(int64_t tokens, int64_t top_k, int64_t columns, bool with_base) {
    Values random(static_cast<uint64_t>(tokens * columns));
    slot_row.resize(static_cast<size_t>(tokens * top_k));
    std::iota(slot_row.begin(), slot_row.end(), 0);
    for (size_t i = slot_row.size(); i > 1; --i) {
      std::swap(slot_row[i - 1], slot_row[random.Below(static_cast<int64_t>(i))]);
    }
    weights = random.Array<T>(tokens * top_k);
    x = random.Array<T>(tokens * top_k * columns);
    base = random.Array<T>(tokens * columns);
    y.assign(base.size(), T(0));
    dy = random.Array<T>(tokens * columns);
    dx = random.Array<T>(static_cast<int64_t>(x.size()));
    dweights = random.Array<T>(tokens * top_k);
    CombineArgs& f = args.forward;
    f.dtype = DTypeOf<T>();
    f.tokens = tokens;
    f.top_k = top_k;
    f.columns = columns;
    f.slot_row = slot_row.data();
    f.weights = weights.data();
    f.x = x.data();
    f.base = with_base ? base.data() : nullptr;
    f.y = y.data();
    args.dy = dy.data();
    args.dx = dx.data();
    args.dweights = dweights.data();
  }
  Combining(const Combining&) = delete;
};

TEST(Moe, CombineAgrees) {
  for (int64_t columns : {3, 48, 200}) {
    for (int64_t tokens : {1, 90}) {
      const double tolerance = kEpsilon * static_cast<double>(16 + columns);
      ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
        Combining<decltype(number)> problem(tokens, 6, columns, columns != 48);
        kernels.combine(problem.args.forward, pool);
        kernels.combine_backward(problem.args, pool);
        Outputs<decltype(number)> out;
        out.Take(problem.y);
        out.Take(problem.dx);
        out.Take(problem.dweights);
        return out.values;
      });
    }
  }
}

TEST(Moe, CombineBackwardIsTheDerivative) {
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  Combining<double> problem(5, 3, 7, true);
  std::fill(problem.dx.begin(), problem.dx.end(), 0.0);
  std::fill(problem.dweights.begin(), problem.dweights.end(), 0.0);
  kernels.combine_backward(problem.args, pool);
  const auto loss = [&] {
    kernels.combine(problem.args.forward, pool);
    return std::inner_product(problem.y.begin(), problem.y.end(), problem.dy.begin(), 0.0);
  };
  Values choose(2);
  ExpectGradient(problem.x, problem.dx, loss, choose, 30);
  ExpectGradient(problem.weights, problem.dweights, loss, choose, 15);
}

}  // namespace
}  // namespace sputnik::testing
