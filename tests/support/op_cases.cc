#include "tests/support/op_cases.h"

#include "op/attention.h"
#include "op/linear.h"
#include "op/logprob.h"
#include "op/moe.h"
#include "op/norm.h"
#include "op/pointwise.h"
#include "op/rope.h"

namespace sputnik {
namespace {

std::vector<OpCase> LinearCases() {
  const auto linear = [](int64_t rows, int64_t inputs, int64_t outputs) {
    return [=](Pass& pass, OpInputs& in) -> OpOutputs {
      return {{Linear(pass, in.Matrix("x", rows, inputs), in.Matrix("w", outputs, inputs))}};
    };
  };
  return {
      {"OneRow", linear(1, 37, 9), 40},
      {"ManyRows", linear(33, 29, 50), 60},
      {"OneInput", linear(5, 1, 7), 10},
      {"OneOutput", linear(18, 65, 1), 70},
      {"FixedInput",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{Linear(pass, in.Constant("x", {6, 11}), in.Matrix("w", 5, 11))}};
       },
       20},
      {"InputUsedTwice",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = in.Matrix("x", 7, 12);
         return {{Linear(pass, x, in.Matrix("w1", 4, 12)), Linear(pass, x, in.Matrix("w2", 6, 12))}};
       },
       20},
      {"ColumnsOfAWiderMatrix",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor both = Linear(pass, in.Matrix("x", 7, 12), in.Matrix("w", 20, 12));
         return {{Linear(pass, both.Slice(1, 3, 9), in.Matrix("w2", 5, 9))}};
       },
       40},
      {"Groups",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const std::vector<Tensor> w = {in.Matrix("w0", 6, 14), in.Matrix("w1", 6, 14), in.Matrix("w2", 6, 14),
                                        in.Matrix("w3", 6, 14), in.Matrix("w4", 6, 14)};
         const std::span<const int32_t> start(in.Integers({0, 3, 4, 4, 21, 22}), 6);
         // The gradient check wants a gradient everywhere, so the weight of the empty group is used once more.
         return {{GroupedLinear(pass, in.Matrix("x", 22, 14), start, w), Linear(pass, in.Matrix("z", 2, 14), w[2])}};
       },
       30},
      {"LowRank",  // beside a frozen matrix, on some of its outputs
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = in.Matrix("x", 9, 14);
         const Tensor y = Linear(pass, x, in.Constant("w", {20, 14}));
         AddLowRank(pass, x, {in.Matrix("a", 3, 14), in.Matrix("b", 13, 3), 0.7}, y.Slice(1, 5, 13));
         return {{y}};
       },
       60},
      {"GroupsOfLowRank",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const std::vector<Tensor> w = {in.Constant("w0", {6, 8}), in.Constant("w1", {6, 8})};
         const std::vector<LowRank> low = {{in.Matrix("a0", 2, 8), in.Matrix("b0", 6, 2), 1.5},
                                           {in.Matrix("a1", 2, 8), in.Matrix("b1", 6, 2), 1.5}};
         const std::span<const int32_t> start(in.Integers({0, 5, 9}), 3);
         const Tensor x = in.Matrix("x", 9, 8), y = GroupedLinear(pass, x, start, w);
         AddGroupedLowRank(pass, x, start, low, y);
         return {{y}};
       },
       60},
      {"GroupsOfFixedWeights",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const std::vector<Tensor> w = {in.Constant("w0", {6, 8}), in.Constant("w1", {6, 8})};
         const std::span<const int32_t> start(in.Integers({0, 5, 9}), 3);
         return {{GroupedLinear(pass, in.Matrix("x", 9, 8), start, w)}};
       },
       20},
  };
}

std::vector<OpCase> NormCases() {
  return {
      {"Rows",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{RmsNorm(pass, in.Matrix("x", 6, 37), in.Vector("gain", 37, 0.3, 1), 1e-6)}};
       },
       30},
      {"OneColumn",  // where epsilon decides everything: else y would be ±gain and dx nothing
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{RmsNorm(pass, in.Matrix("x", 9, 1), in.Vector("gain", 1, 0.3, 1), 0.5)}};
       },
       20},
      {"SideBySide",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor both = pass.New(in.dtype(), {5, 33});
         RmsNorm(pass, in.Matrix("a", 5, 20), in.Vector("gain_a", 20, 0.3, 1), 1e-5, both.Slice(1, 0, 20));
         RmsNorm(pass, in.Matrix("b", 5, 13), in.Vector("gain_b", 13, 0.3, 1), 1e-5, both.Slice(1, 20, 13));
         return {{both}};
       },
       30},
      {"FixedGain",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{RmsNorm(pass, in.Matrix("x", 3, 48), in.Constant("gain", {48}), 1e-6)}};
       },
       30},
  };
}

std::vector<OpCase> RopeCases() {
  // Any numbers may stand in the table: the backward is the transpose of the forward, a rotation or not.
  const auto positions = [](OpInputs& in) { return in.Integers({0, 4, 9, 9, 2, 15, 1}); };
  return {
      {"Heads",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = Add(pass, in.Matrix("x", 7, 24), in.Matrix("y", 7, 24));
         RopeInPlace(pass, x.SplitLast(4, 6), in.Constant("table", {16, 6}), positions(in));
         return {{x}};
       },
       10},
      {"TailOfEachHead",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = Add(pass, in.Matrix("x", 7, 33), in.Matrix("y", 7, 33));
         RopeInPlace(pass, x.SplitLast(3, 11).Slice(2, 7, 4), in.Constant("table", {16, 4}), positions(in));
         return {{x}};
       },
       10},
      {"Halves",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = Add(pass, in.Matrix("x", 7, 48), in.Matrix("y", 7, 48));
         RopeInPlace(pass, x.SplitLast(3, 16), in.Constant("table", {16, 16}), positions(in), RopeLayout::kHalves);
         return {{x}};
       },
       10},
      {"HalvesOfTheTail",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = Add(pass, in.Matrix("x", 7, 24), in.Matrix("y", 7, 24));
         RopeInPlace(pass, x.SplitLast(2, 12).Slice(2, 2, 10), in.Constant("table", {16, 10}), positions(in),
                     RopeLayout::kHalves);
         return {{x}};
       },
       10},
      {"OnePair",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = Add(pass, in.Matrix("x", 7, 9), in.Matrix("y", 7, 9));
         RopeInPlace(pass, x.Slice(1, 5, 2).SplitLast(1, 2), in.Constant("table", {16, 2}), positions(in));
         return {{x}};
       },
       10},
  };
}

std::vector<OpCase> PointwiseCases() {
  return {
      {"Add",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{Add(pass, in.Matrix("a", 5, 19), in.Matrix("b", 5, 19))}};
       },
       4},
      {"AddToItself",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = in.Matrix("x", 3, 35);
         return {{Add(pass, x, x)}};
       },
       4},
      {"AddFixed",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{Add(pass, in.Matrix("a", 2, 7), in.Constant("b", {2, 7}))}};
       },
       4},
      {"Bias",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor y = Linear(pass, in.Matrix("x", 6, 9), in.Matrix("w", 21, 9));
         AddBiasInPlace(pass, y, in.Vector("bias", 21));
         return {{y}};
       },
       20},
      {"BiasOfSomeColumns",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor y = Linear(pass, in.Matrix("x", 5, 7), in.Matrix("w", 30, 7));
         AddBiasInPlace(pass, y.Slice(1, 0, 13), in.Vector("first", 13));
         AddBiasInPlace(pass, y.Slice(1, 13, 17), in.Constant("fixed", {17}));
         return {{y}};
       },
       20},
      {"Swiglu", [](Pass& pass, OpInputs& in) -> OpOutputs { return {{Swiglu(pass, in.Matrix("x", 6, 2 * 21, 2))}}; },
       20},
      {"GatherWithRepeats",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{Gather(pass, in.Matrix("x", 6, 17), in.Integers({5, 0, 5, 2, 2, 2, 1, 3, 4}), 9)}};
       },
       8},
      {"JoinKeys",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor kv = in.Contiguous("kv", 5, 3 * 11).SplitLast(3, 11);
         return {{JoinKeys(pass, kv.Slice(2, 0, 7), in.Matrix("rope", 5, 10).Slice(1, 4, 6)), kv.Slice(2, 7, 4)}};
       },
       8},
  };
}

std::vector<OpCase> AttentionCases() {
  const auto layout = [](OpInputs& in, std::vector<int32_t> start) {
    std::vector<int32_t> count;
    for (size_t s = 0; s + 1 < start.size(); ++s) count.push_back(start[s + 1] - start[s]);
    const auto sequences = static_cast<int64_t>(count.size());
    const int32_t* begin = in.Integers(std::move(start));
    return AttentionLayout{
        .sequences = sequences, .query_start = begin, .key_count = in.Integers(std::move(count)), .key_start = begin};
  };
  return {
      {"RaggedSequences",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         return {
             {Attention(pass, in.Matrix("q", 27, 2 * 10).SplitLast(2, 10), in.Matrix("k", 27, 2 * 10).SplitLast(2, 10),
                        in.Matrix("v", 27, 2 * 7).SplitLast(2, 7), layout(in, {0, 7, 8, 27}), 0.3)}};
       },
       60},
      {"SharedKeyHeads",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         return {{Attention(pass, in.Matrix("q", 18, 4 * 5).SplitLast(4, 5), in.Matrix("k", 18, 2 * 5).SplitLast(2, 5),
                            in.Matrix("v", 18, 2 * 9).SplitLast(2, 9), layout(in, {0, 0, 18}), 0.5)}};
       },
       60},
      {"MoreKeysThanQueries",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const AttentionLayout chunks{.sequences = 2,
                                      .query_start = in.Integers({0, 3, 5}),
                                      .key_count = in.Integers({20, 4}),
                                      .key_start = in.Integers({4, 0})};
         return {{Attention(pass, in.Matrix("q", 5, 2 * 6).SplitLast(2, 6), in.Matrix("k", 24, 2 * 6).SplitLast(2, 6),
                            in.Matrix("v", 24, 2 * 5).SplitLast(2, 5), chunks, 0.4)}};
       },
       60},
  };
}

std::vector<OpCase> MoeCases() {
  const auto route = [](RouterOptions options, bool bias) {
    return [=](Pass& pass, OpInputs& in) -> OpOutputs {
      const int32_t* starts = in.Integers({0, 4, 4, 5, 11});
      const Routing routing = Route(pass, in.Contiguous("logits", 11, 12, 1.5),
                                    bias ? in.Constant("bias", {12}, 0.2, true) : Tensor(), options, {starts, 5});
      return {{routing.weights}, routing.balance_loss};
    };
  };
  const RouterOptions v3{.top_k = 4, .groups = 4, .top_groups = 2, .scaling = 2.5};
  const RouterOptions v2{.score = RouterScore::kSoftmax,
                         .method = RouterMethod::kGroupLimitedGreedy,
                         .top_k = 3,
                         .groups = 3,
                         .top_groups = 2,
                         .normalise = false,
                         .scaling = 16};
  RouterOptions balanced = v3, balanced_softmax = v2, plain = v3, lite = v2;
  balanced.balance_weight = 0.7;
  balanced_softmax.balance_weight = 0.4;
  plain.groups = plain.top_groups = 1;
  plain.normalise = false;
  lite.method = RouterMethod::kGreedy;
  lite.groups = lite.top_groups = 1;
  lite.normalise = true;
  return {
      {"Sigmoid", route(plain, false), 20},
      {"SigmoidGroupsBias", route(v3, true), 30},
      {"SigmoidBalanced", route(balanced, true), 40},
      {"SoftmaxGreedy", route(lite, false), 30},
      {"SoftmaxGroups", route(v2, false), 30},
      {"SoftmaxBalanced", route(balanced_softmax, false), 40},
      {"Experts",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const int32_t* starts = in.Integers({0, 7});
         RouterOptions options = v3;
         options.balance_weight = 0.1;
         const Tensor x = in.Matrix("x", 7, 13);
         const Routing routing = Route(pass, in.Contiguous("logits", 7, 12, 1.5), Tensor(), options, {starts, 2});
         const Tensor rows = Gather(pass, x, routing.row_token, 7 * 4);
         std::vector<Tensor> experts;
         for (int64_t e = 0; e < 12; ++e) experts.push_back(in.Constant("expert" + std::to_string(e), {10, 13}, 0.3));
         const Tensor y = GroupedLinear(pass, rows, routing.expert_start, experts);
         return {{Combine(pass, y, routing, in.Contiguous("base", 7, 10))}, routing.balance_loss};
       },
       40},
      {"CombineWithoutBase",
       [=](Pass& pass, OpInputs& in) -> OpOutputs {
         const int32_t* starts = in.Integers({0, 6});
         const Routing routing = Route(pass, in.Contiguous("logits", 6, 12, 1.5), Tensor(), v2, {starts, 2});
         return {{Combine(pass, in.Contiguous("x", 18, 10), routing, Tensor())}};
       },
       40},
  };
}

std::vector<OpCase> LogProbCases() {
  const auto logprob = [](double inverse_temperature, std::vector<int32_t> targets) {
    return [=](Pass& pass, OpInputs& in) -> OpOutputs {
      const auto rows = static_cast<int64_t>(targets.size());
      return {{LogProb(pass, in.Matrix("hidden", rows, 11), in.Matrix("head", 37, 11), in.Integers(targets),
                       inverse_temperature)
                   .logprob}};
    };
  };
  std::vector<int32_t> many;
  for (int i = 0; i < 40; ++i) many.push_back(i % 5 == 3 ? -1 : (i * 7) % 37);
  return {
      {"Plain", logprob(1, {3, 0, 36, 3}), 60},
      {"Temperature", logprob(1 / 0.7, {1, -1, 20, 5, 5}), 60},
      {"ManyRows", logprob(1, many), 100},
      {"FixedHead",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         return {
             {LogProb(pass, in.Matrix("hidden", 3, 8), in.Constant("head", {21, 8}), in.Integers({2, 20, 7})).logprob}};
       },
       60},
  };
}

std::vector<OpCase> PassCases() {
  return {
      {"Recompute",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         const Tensor x = in.Matrix("x", 6, 10), w1 = in.Matrix("w1", 16, 10), w2 = in.Matrix("w2", 10, 8);
         const Tensor y = pass.Recompute(x, [w1, w2](Pass& p, const Tensor& input) {
           return Add(p, input, Linear(p, Swiglu(p, Linear(p, input, w1)), w2));
         });
         return {{Add(pass, y, x)}};
       },
       60},
      {"RecomputeTwoBlocks",
       [](Pass& pass, OpInputs& in) -> OpOutputs {
         Tensor x = Add(pass, in.Matrix("x", 6, 10), in.Matrix("z", 6, 10));
         for (const char* name : {"w1", "w2"}) {
           const Tensor w = in.Matrix(name, 10, 10, 0.5);
           x = pass.Recompute(x, [w](Pass& p, const Tensor& input) { return Linear(p, input, w); });
         }
         return {{x}};
       },
       60},
  };
}

}  // namespace

std::vector<OpCase> OpCasesOf(std::string_view room) {
  if (room == "linear") return LinearCases();
  if (room == "norm") return NormCases();
  if (room == "rope") return RopeCases();
  if (room == "pointwise") return PointwiseCases();
  if (room == "attention") return AttentionCases();
  if (room == "moe") return MoeCases();
  if (room == "logprob") return LogProbCases();
  if (room == "pass") return PassCases();
  ADD_FAILURE() << "no op cases for " << room;
  return {};
}

}  // namespace sputnik
