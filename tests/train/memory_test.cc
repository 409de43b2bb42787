#include "train/memory.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"
#include "tests/support/adapters.h"
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

// A forward that records nothing keeps one block's memory, and not every block's.
TEST(Memory, AForwardKeepsOneBlock) {
  for (int which = 0; which < 4; ++which) {
    ModelConfig config = Shape(which);
    config.num_hidden_layers = 6;
    ThreadPool pool(1);
    Decoder decoder(config, DType::kF32, false);
    decoder.params().Initialise(config, 1);
    Arena arena(int64_t{2} << 30);
    Pass pass({KernelsFor("cpu"), pool}, arena);
    const Batch batch = RandomBatch(config, std::vector<int>(16, 128), 1);
    decoder.Forward(pass, batch);
    const int64_t estimate = EstimateForwardMemory(config, batch.tokens());
    EXPECT_LE(arena.high_water(), estimate) << which;
    EXPECT_GE(2 * arena.high_water(), estimate) << which;
  }
}

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

// Matrices at rank 2 beside weights of which only the bytes they take are known.
TEST(Memory, AnAdapterHasGradientsAndMomentsOfItsOwnAlone) {
  const ModelConfig config = Shape(1);
  const AdapterConfig adapter{.rank = 2, .targets = {"o_proj", "down_proj"}};
  int64_t bytes = 0;
  for (const AdaptedModule& module : FindModules(config, adapter.targets)) {
    bytes += 4 * 2 * (module.inputs + module.outputs);
  }
  const MemoryEstimate plain = EstimateTrainingMemory(config, {}, 1000, false, true);
  const MemoryEstimate lora = EstimateAdapterMemory(config, adapter, 12345, {.optimizer = "adamw"}, 1000, false, true);
  EXPECT_EQ(lora.parameters, 12345 + bytes);
  EXPECT_EQ(lora.gradients, bytes);
  EXPECT_EQ(lora.optimizer, 2 * bytes);
  EXPECT_EQ(EstimateAdapterMemory(config, adapter, 12345, {.optimizer = "muon"}, 1000, false, true).optimizer, bytes);
  EXPECT_GT(lora.activations, plain.activations);
  EXPECT_LT(lora.activations, plain.activations * 11 / 10);
  TrainConfig train;
  EXPECT_NO_THROW(CheckAdapterMemory(config, adapter, 12345, {}, train, int64_t{1} << 50));
  ExpectError(ExitCode::kUsage, [&] { CheckAdapterMemory(config, adapter, 12345, {}, train, int64_t{1} << 20); });
}

class AdapterMemoryTest : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(AdapterMemoryTest, TheEstimateIsAnUpperBoundWithinTwice) {
  const auto [which, recompute] = GetParam();
  const ModelConfig config = Shape(which);
  const AdapterConfig adapter{.rank = 8};
  ThreadPool pool(1);
  const Machine machine{KernelsFor("cpu"), pool};
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, 1);
  decoder.SetAdapter(RandomAdapter<float>(config, adapter, true));
  Trainer trainer(decoder, machine, {.optimizer = "adamw"}, int64_t{2} << 30);
  const bool mtp = config.num_nextn_predict_layers > 0;
  const Batch batch = RandomBatch(config, std::vector<int>(16, 128), 1);
  trainer.Step({&batch, 1},
               [&](const ObjectiveInput& input, std::span<float> seeds) {
                 return CrossEntropy(input.rows, input.batch.weights, input.logprobs, 100, seeds);
               },
               {.recompute = recompute, .mtp_weight = mtp ? 0.3 : 0.0});
  const MemoryEstimate estimate = EstimateAdapterMemory(config, adapter, 0, {}, batch.tokens(), recompute, mtp);
  EXPECT_LE(trainer.arena().high_water(), estimate.activations);
  EXPECT_GE(2 * trainer.arena().high_water(), estimate.activations);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AdapterMemoryTest, testing::Combine(testing::Values(0, 1, 4), testing::Bool()));

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
