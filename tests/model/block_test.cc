#include "model/block.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernel/backend.h"
#include "model/ffn.h"
#include "model/mla.h"
#include "model/moe.h"
#include "op/norm.h"
#include "op/pointwise.h"
#include "tests/support/block_context.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

class BlockTest : public testing::TestWithParam<int> {  // the layer: 0 is dense, 1 has experts
 protected:
  static constexpr int32_t kTokens = 9;

  BlockTest() {
    params_.Initialise(config_, 2);
    Random random(3, kStreamTest);
    for (double& value : x_.span<double>()) value = random.Normal();
    for (Param& param : params_.list()) {
      if (param.spec.role != ParamRole::kGain) continue;
      for (double& gain : param.tensor.span<double>()) gain += 0.3 * random.Normal();
    }
  }
  std::vector<double> Run(const BlockWeights& weights) {
    const auto y = Block(pass_, config_, weights, run_.context, x_).span<double>();
    return {y.begin(), y.end()};
  }

  ModelConfig config_ = TinyConfig();
  Params params_{config_, DType::kF64, false};
  ThreadPool pool_{1};
  Arena arena_{1 << 24};
  Pass pass_{{KernelsFor("reference"), pool_}, arena_};
  BlockContext run_{config_, DType::kF64, arena_, kTokens};
  Tensor x_ = pass_.New(DType::kF64, {kTokens, config_.hidden_size});
};

TEST_P(BlockTest, IsTwoNormedSublayersOnAResidualStream) {
  const BlockWeights w = CollectBlock(config_, params_, GetParam(), config_.HasMoe(GetParam()));
  EXPECT_EQ(w.has_moe, GetParam() == 1);
  const Tensor attended =
      Mla(pass_, config_, w.mla, run_.context, w.layer,
          RmsNorm(pass_, x_, params_.Get(fmt::format("model.layers.{}.input_layernorm.weight", w.layer)), 1e-6));
  const Tensor h = Add(pass_, x_, attended);
  const Tensor normed =
      RmsNorm(pass_, h, params_.Get(fmt::format("model.layers.{}.post_attention_layernorm.weight", w.layer)), 1e-6);
  const Tensor out = w.has_moe ? Moe(pass_, config_, w.moe, run_.context, w.layer, normed) : Ffn(pass_, w.ffn, normed);
  const auto expected = Add(pass_, h, out).span<double>();
  EXPECT_EQ(Run(w), std::vector<double>(expected.begin(), expected.end()));
}

TEST_P(BlockTest, WithoutOutputsItIsTheIdentity) {
  for (Param& param : params_.list()) {
    if (param.spec.name.ends_with("o_proj.weight") || param.spec.name.ends_with("down_proj.weight")) {
      std::ranges::fill(param.tensor.span<double>(), 0.0);
    }
  }
  const auto x = x_.span<double>();
  EXPECT_EQ(Run(CollectBlock(config_, params_, GetParam(), config_.HasMoe(GetParam()))),
            std::vector<double>(x.begin(), x.end()));
}

TEST_P(BlockTest, AddsItsLoadsAndBalanceLoss) {
  std::vector<std::vector<int64_t>> loads(2);
  double balance = 1;
  run_.context.loads = &loads;
  run_.context.balance_loss = &balance;
  run_.context.balance_weight = 0.1;
  const BlockWeights w = CollectBlock(config_, params_, GetParam(), config_.HasMoe(GetParam()));
  Run(w);
  Run(w);
  EXPECT_EQ(loads[0].size(), 0u);
  int64_t total = 0;
  for (const int64_t load : loads[1]) total += load;
  EXPECT_EQ(total, w.has_moe ? 2 * kTokens * config_.num_experts_per_tok : 0);
  EXPECT_EQ(balance > 1, w.has_moe);
}

INSTANTIATE_TEST_SUITE_P(Layers, BlockTest, testing::Values(0, 1));

}  // namespace
}  // namespace sputnik
