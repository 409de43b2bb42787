#include "model/moe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernel/backend.h"
#include "model/decoder.h"
#include "model/ffn.h"
#include "op/linear.h"
#include "tests/support/block_context.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

TEST(NudgeTest, V3MovesEveryBiasByTheRate) {
  std::vector<float> bias = {0.5f, 0.f, -0.25f, 0.f};
  const std::vector<int64_t> loads = {7, 1, 4, 0};  // mean 3
  NudgeRouterBias(bias, loads, 0.125, false);
  EXPECT_EQ(bias, (std::vector<float>{0.375f, 0.125f, -0.375f, 0.125f}));
}

TEST(NudgeTest, V3RaisesAnExpertAtTheMean) {
  std::vector<float> bias = {0.f, 0.f, 0.f};
  NudgeRouterBias(bias, std::vector<int64_t>{5, 5, 5}, 0.5, false);
  EXPECT_EQ(bias, (std::vector<float>{0.5f, 0.5f, 0.5f}));
}

TEST(NudgeTest, MoonlightKeepsTheSum) {
  std::vector<float> bias = {1.f, 2.f, 3.f, 4.f};
  const std::vector<int64_t> loads = {9, 1, 1, 1};  // signs -1 1 1 1, their mean 0.5
  NudgeRouterBias(bias, loads, 0.25, true);
  EXPECT_EQ(bias, (std::vector<float>{1 - 0.375f, 2.125f, 3.125f, 4.125f}));
  NudgeRouterBias(bias, std::vector<int64_t>{3, 3, 3, 3}, 0.25, true);  // all at the mean: nothing moves
  EXPECT_EQ(bias[0], 0.625f);
}

// 7/3 is no binary number: the comparison with the mean must not be made in rounded arithmetic.
TEST(NudgeTest, TheMeanIsExact) {
  const int64_t large = int64_t{1} << 40;
  std::vector<float> bias(3);
  NudgeRouterBias(bias, std::vector<int64_t>{large, large, large + 1}, 1, true);
  EXPECT_FLOAT_EQ(bias[0], 1 - 1.f / 3);
  EXPECT_FLOAT_EQ(bias[2], -1 - 1.f / 3);
}

class MoeTest : public testing::Test {
 protected:
  static constexpr int32_t kTokens = 11;

  MoeTest() {
    params_.Initialise(config_, 5);
    Random random(6, kStreamTest);
    for (double& value : x_.span<double>()) value = 3 * random.Normal();
    for (Param& param : params_.list()) {
      if (param.spec.role != ParamRole::kRouterBias) continue;
      for (float& b : param.tensor.span<float>()) b = static_cast<float>(0.2 * random.Normal());
    }
  }

  ModelConfig config_ = TinyConfig();
  Params params_{config_, DType::kF64, false};
  ThreadPool pool_{1};
  Arena arena_{1 << 24};
  Pass pass_{{KernelsFor("reference"), pool_}, arena_};
  BlockContext run_{config_, DType::kF64, arena_, kTokens};
  Tensor x_ = pass_.New(DType::kF64, {kTokens, config_.hidden_size});
};

// Every expert on every token, mixed by the router's weights: the sparse way must give the same.
TEST_F(MoeTest, IsSharedPlusWeightedExperts) {
  const MoeWeights w = CollectBlock(config_, params_, 1, true).moe;
  const Tensor y = Moe(pass_, config_, w, run_.context, 1, x_);
  const Tensor logits = Linear(pass_, x_, w.gate);
  const Tensor shared = Ffn(pass_, w.shared, x_);
  std::vector<Tensor> experts;
  for (size_t e = 0; e < 8; ++e) experts.push_back(Ffn(pass_, {w.gate_up.parts[0][e], w.down.parts[0][e]}, x_));
  for (int64_t t = 0; t < kTokens; ++t) {
    double score[8], choice[8], group[4];
    for (int e = 0; e < 8; ++e) {
      score[e] = 1 / (1 + std::exp(-logits.as<double>()[t * 8 + e]));
      choice[e] = score[e] + static_cast<double>(w.bias.as<float>()[e]);
    }
    for (int g = 0; g < 4; ++g) group[g] = choice[2 * g] + choice[2 * g + 1];
    const auto rank = [](const double* values, int count, int i) {
      return std::count_if(values, values + count, [&](double v) { return v > values[i]; });
    };
    for (int e = 0; e < 8; ++e) {
      if (rank(group, 4, e / 2) >= 2) choice[e] = -1e9;
    }
    double sum = 0;
    for (int e = 0; e < 8; ++e) sum += rank(choice, 8, e) < 3 ? score[e] : 0;
    for (int64_t c = 0; c < config_.hidden_size; ++c) {
      double expected = shared.as<double>()[t * config_.hidden_size + c];
      for (int e = 0; e < 8; ++e) {
        if (rank(choice, 8, e) < 3) {
          expected += 1.7 * score[e] / sum * experts[static_cast<size_t>(e)].as<double>()[t * config_.hidden_size + c];
        }
      }
      EXPECT_NEAR(y.as<double>()[t * config_.hidden_size + c], expected, 1e-12);
    }
  }
}

TEST_F(MoeTest, LoadsAreCountedOnceEvenIfBlocksRunTwice) {
  Decoder decoder(config_, DType::kF64, true);
  decoder.params().Initialise(config_, 5);
  const Batch batch = RandomBatch(config_, {7, 12}, 1);
  std::vector<std::vector<int64_t>> loads[2];
  double balance[2];
  for (const bool recompute : {false, true}) {
    const ArenaScope scope(arena_);
    Tape tape(arena_);
    Pass pass({KernelsFor("reference"), pool_}, arena_, &tape);
    const ForwardResult out = decoder.Forward(
        pass, batch, {.recompute = recompute, .mtp = true, .balance_weight = 0.5, .loads = &loads[recompute]});
    balance[recompute] = out.balance_loss;
    for (double& seed : out.hidden.Gradient(arena_).span<double>()) seed = 1;
    tape.Backward();
  }
  EXPECT_EQ(loads[0], loads[1]);
  EXPECT_EQ(balance[0], balance[1]);
  ASSERT_EQ(loads[0].size(), 3u);  // two layers and the MTP module
  EXPECT_TRUE(loads[0][0].empty());
  for (const size_t layer : {size_t{1}, size_t{2}}) {
    int64_t total = 0;
    for (const int64_t load : loads[0][layer]) total += load;
    EXPECT_EQ(total, 19 * 3);
  }
}

}  // namespace
}  // namespace sputnik
