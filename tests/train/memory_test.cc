#include "train/memory.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_families.h"
#include "train/step.h"

namespace sputnik {
namespace {

ModelConfig Shape(int which) {
  ModelConfig c = which == 4 ? TinyFamily("qwen3") : TinyConfig();
  if (which == 0) return c;
  c.hidden_size = 64;
  c.intermediate_size = 160;
  c.num_hidden_layers = 4;
  c.vocab_size = which == 1 ? 512 : 4000;
  if (which == 2) {  // V2-like: no query compression, wide heads, no MTP
    c.q_lora_rank = 0;
    c.num_attention_heads = 4;
    c.qk_nope_head_dim = c.v_head_dim = 32;
    c.qk_rope_head_dim = 16;
    c.num_nextn_predict_layers = 0;
  }
  if (which == 3) {  // dense
    c.n_routed_experts = 0;
    c.first_k_dense_replace = 100;
  }
  return c;
}

class MemoryTest : public testing::TestWithParam<std::tuple<int, bool>> {};

// What a step really takes of the arena lies below the estimate, and not far below.
TEST_P(MemoryTest, TheEstimateIsAnUpperBoundWithinTwice) {
  const auto [which, recompute] = GetParam();
  const ModelConfig config = Shape(which);
  ThreadPool pool(1);
  const Machine machine{KernelsFor("cpu"), pool};
  Decoder decoder(config, DType::kF32, true);
  decoder.params().Initialise(config, 1);
  Trainer trainer(decoder, machine, {}, int64_t{2} << 30);
  const bool mtp = config.num_nextn_predict_layers > 0;
  const Batch batch = RandomBatch(config, std::vector<int>(16, 128), 1);
  trainer.Step({&batch, 1},
               [&](const ObjectiveInput& input, std::span<float> seeds) {
                 return CrossEntropy(input.rows, input.batch.weights, input.logprobs, 100, seeds);
               },
               {.recompute = recompute, .mtp_weight = mtp ? 0.3 : 0.0});
  const MemoryEstimate estimate = EstimateTrainingMemory(config, {}, batch.tokens(), recompute, mtp);
  const int64_t used = trainer.arena().high_water();
  EXPECT_LE(used, estimate.activations);
  EXPECT_GE(2 * used, estimate.activations);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MemoryTest, testing::Combine(testing::Range(0, 5), testing::Bool()));

TEST(Memory, CountsWeightsGradientsAndMoments) {
  const ModelConfig config = TinyConfig();
  int64_t matrices = 0, all = 0;
  for (const ParamSpec& spec : ListParams(config)) {
    all += 4 * spec.elements();
    if (spec.role == ParamRole::kMatrix) matrices += 4 * spec.elements();
  }
  const MemoryEstimate muon = EstimateTrainingMemory(config, {}, 100, false, true);
  EXPECT_EQ(muon.parameters, all);
  EXPECT_EQ(muon.gradients, all);
  EXPECT_EQ(muon.optimizer, 2 * all - matrices);
  EXPECT_EQ(EstimateTrainingMemory(config, {.optimizer = "adamw"}, 100, false, true).optimizer, 2 * all);
}

TEST(Memory, ThereIsSome) { EXPECT_GT(AvailableMemory(), int64_t{1} << 20); }

TEST(Memory, TooMuchIsRefusedWithWhatWouldFit) {
  const ModelConfig config = Shape(1);
  TrainConfig train;
  train.micro_batch_tokens = 1 << 20;
  EXPECT_NO_THROW(CheckTrainingMemory(config, {}, train, int64_t{1} << 50));
  const int64_t available = int64_t{256} << 20;
  const std::string message = ExpectError(ExitCode::kUsage, [&] { CheckTrainingMemory(config, {}, train, available); });
  EXPECT_MENTIONS(message, "256 MiB");
  EXPECT_MENTIONS(message, "recompute = true");
  // The advice holds.
  const size_t at = message.find("micro_batch_tokens = ");
  ASSERT_NE(at, message.npos) << message;
  train.micro_batch_tokens = std::stoll(message.substr(at + 21));
  train.recompute = true;
  EXPECT_GE(train.micro_batch_tokens, 256);
  EXPECT_NO_THROW(CheckTrainingMemory(config, {}, train, available));
}

TEST(Memory, AModelThatDoesNotFitAtAllIsSaidToBeTooLarge) {
  const std::string message =
      ExpectError(ExitCode::kUsage, [&] { CheckTrainingMemory(Shape(1), {}, TrainConfig{}, int64_t{1} << 20); });
  EXPECT_MENTIONS(message, "smaller model");
}

}  // namespace
}  // namespace sputnik
