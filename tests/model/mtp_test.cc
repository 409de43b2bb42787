#include "model/mtp.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"
#include "model/decoder.h"
#include "op/linear.h"
#include "op/norm.h"
#include "tests/support/block_context.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

// Targets move with their tokens and never cross into the next sequence.
TEST(MtpTest, TargetsMoveWithinTheirSequence) {
  Batch batch;
  batch.ids = {10, 11, 12, 13, 20, 21, 30};
  batch.sequence_start = {0, 4, 6, 7};
  batch.targets = {11, 12, -1, 14, 21, 22, 31};
  batch.weights = {1, 2, 0, 4, 5, 6, 7};
  const ShiftedTargets one = ShiftTargets(batch, 1);
  EXPECT_EQ(one.ahead, (std::vector<int32_t>{11, 12, 13, 0, 21, 0, 0}));
  EXPECT_EQ(one.targets, (std::vector<int32_t>{12, -1, 14, -1, 22, -1, -1}));
  EXPECT_EQ(one.weights, (std::vector<float>{2, 0, 4, 0, 6, 0, 0}));
  const ShiftedTargets two = ShiftTargets(batch, 2);
  EXPECT_EQ(two.ahead, (std::vector<int32_t>{12, 13, 0, 0, 0, 0, 0}));
  EXPECT_EQ(two.targets, (std::vector<int32_t>{-1, 14, -1, -1, -1, -1, -1}));
  EXPECT_EQ(two.weights, (std::vector<float>{0, 4, 0, 0, 0, 0, 0}));
  const ShiftedTargets far = ShiftTargets(batch, 9);
  for (const int32_t target : far.targets) EXPECT_EQ(target, -1);
  batch.weights.clear();
  EXPECT_EQ(ShiftTargets(batch, 1).weights, (std::vector<float>{1, 1, 1, 0, 1, 0, 0}));
}

class MtpModuleTest : public testing::Test {
 protected:
  static constexpr int32_t kTokens = 6;

  MtpModuleTest() {
    params_.Initialise(config_, 4);
    Random random(5, kStreamTest);
    for (double& value : hidden_.span<double>()) value = random.Normal();
    for (const char* norm : {"enorm", "hnorm"}) {
      for (double& gain : params_.Get(fmt::format("model.layers.2.{}.weight", norm)).span<double>())
        gain += 0.3 * random.Normal();
    }
  }

  ModelConfig config_ = TinyConfig();
  Params params_{config_, DType::kF64, false};
  ThreadPool pool_{1};
  Arena arena_{1 << 24};
  Pass pass_{{KernelsFor("reference"), pool_}, arena_};
  BlockContext run_{config_, DType::kF64, arena_, kTokens};
  Tensor hidden_ = pass_.New(DType::kF64, {kTokens, config_.hidden_size});
  const std::vector<int32_t> ahead_ = {3, 1, 4, 1, 5, 9};
};

// eh_proj's columns are [embedding | hidden], as published weights have it (the paper writes the other order).
TEST_F(MtpModuleTest, ProjectsEmbeddingThenHidden) {
  const MtpWeights w = CollectMtp(config_, params_, 0);
  const Tensor embedding = params_.Get("model.embed_tokens.weight");
  const Tensor y = Mtp(pass_, config_, w, run_.context, hidden_, embedding, ahead_.data());
  const int64_t d = config_.hidden_size;
  const Tensor embedded = pass_.New(DType::kF64, {kTokens, d});
  for (int64_t t = 0; t < kTokens; ++t) {
    std::copy_n(embedding.as<double>() + ahead_[static_cast<size_t>(t)] * d, d, embedded.as<double>() + t * d);
  }
  const Tensor e = RmsNorm(pass_, embedded, params_.Get("model.layers.2.enorm.weight"), 1e-6);
  const Tensor h = RmsNorm(pass_, hidden_, params_.Get("model.layers.2.hnorm.weight"), 1e-6);
  const Tensor left = Linear(pass_, e, w.projection.Slice(1, 0, d)),
               right = Linear(pass_, h, w.projection.Slice(1, d, d));
  const Tensor x = pass_.New(DType::kF64, {kTokens, d});
  for (size_t i = 0; i < static_cast<size_t>(x.elements()); ++i) {
    x.span<double>()[i] = left.span<double>()[i] + right.span<double>()[i];
  }
  const Tensor expected = Block(pass_, config_, w.block, run_.context, x);
  for (int64_t i = 0; i < y.elements(); ++i) EXPECT_NEAR(y.as<double>()[i], expected.as<double>()[i], 1e-12);
}

// What follows a sequence's end must not reach a row that predicts something.
TEST_F(MtpModuleTest, RowsWithoutANextTokenDoNotMatter) {
  Decoder decoder(config_, DType::kF64, false);
  decoder.params().Initialise(config_, 4);
  const Batch two = RandomBatch(config_, {5, 6}, 8);
  Batch first;
  first.ids.assign(two.ids.begin(), two.ids.begin() + 5);
  first.positions.assign(two.positions.begin(), two.positions.begin() + 5);
  first.targets.assign(two.targets.begin(), two.targets.begin() + 5);
  first.weights.assign(two.weights.begin(), two.weights.begin() + 5);
  first.sequence_start = {0, 5};
  const Tensor both = decoder.Forward(pass_, two, {.mtp = true}).mtp_hidden[0];
  const Tensor alone = decoder.Forward(pass_, first, {.mtp = true}).mtp_hidden[0];
  for (int64_t i = 0; i < alone.elements(); ++i) EXPECT_EQ(alone.as<double>()[i], both.as<double>()[i]);
}

TEST_F(MtpModuleTest, EveryDepthHasItsModule) {
  config_.num_nextn_predict_layers = 2;
  Decoder decoder(config_, DType::kF32, false);
  decoder.params().Initialise(config_, 4);
  const Batch batch = RandomBatch(config_, {9}, 8);
  const ForwardResult out = decoder.Forward(pass_, batch, {.mtp = true});
  ASSERT_EQ(out.mtp_hidden.size(), 2u);
  EXPECT_NE(out.mtp_hidden[0].as<float>()[0], out.mtp_hidden[1].as<float>()[0]);
  EXPECT_EQ(decoder.RouterBiases().size(), 3u);
  EXPECT_EQ(decoder.RouterBiases()[2].first, 3);
  EXPECT_TRUE(decoder.Forward(pass_, batch).mtp_hidden.empty());
}

}  // namespace
}  // namespace sputnik
