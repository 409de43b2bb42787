// Promise 1: what was sampled is what is learnt from, bit for bit, over whole runs whose weights change.
#include "tests/support/improvement.h"

namespace sputnik {
namespace {

void ExpectNoGap(const std::vector<Json>& lines, size_t expected) {
  ASSERT_EQ(lines.size(), expected);
  size_t trained = 0;
  for (const Json& line : lines) {
    const bool compared = line["grad_norm"].get<double>() > 0;
    ASSERT_EQ(line.contains("train_rollout_logprob_abs_diff"), compared) << line.dump();
    if (!compared) continue;
    EXPECT_EQ(line["train_rollout_logprob_abs_diff"].get<double>(), 0) << line.dump();
    ++trained;
  }
  EXPECT_GT(trained, expected / 2) << "there was little to compare";
}

class ZeroGapTest : public testing::TestWithParam<std::tuple<const char*, double>> {};

TEST_P(ZeroGapTest, SampledAndTrainedLogProbabilitiesAreTheSameBits) {
  Improvement run;
  run.config.position_mode = std::get<0>(GetParam());
  run.config.position_range = 120;
  run.rl.temperature = std::get<1>(GetParam());
  run.threads = 2;
  ExpectNoGap(run.Lines(), 6);
}

INSTANTIATE_TEST_SUITE_P(All, ZeroGapTest,
                         testing::Combine(testing::Values("ordinary", "randomised", "none"),
                                          testing::Values(1.0, 0.7, 1.4)));

// Prompts longer than a chunk, all together more than a batch: the engine takes them in pieces among decodes.
TEST(ZeroGap, HoldsWithPromptsInChunks) {
  Improvement run;
  run.config.max_position_embeddings = 2048;
  run.config.position_mode = "randomised";
  run.config.position_range = 2048;
  run.task = TinyTask(TinyTask::EvenSum, 520);
  run.rl.steps = 2;
  run.rl.temperature = 0.8;
  run.rl.group_size = 3;
  run.train.micro_batch_tokens = 2500;
  ExpectNoGap(run.Lines(), 2);
}

// Always the same long prompt.
class OnePrompt : public TinyTask {
 public:
  Problem Make(uint64_t, int64_t level, uint64_t, Split) const override {
    return {.prompt = std::string(40, 'q'), .answer = "a", .level = level};
  }
};

// What the engine kept of a prompt is of the weights before the update, and must not be taken up again.
TEST(ZeroGap, HoldsWhenAPromptComesAgain) {
  const OnePrompt task;
  Improvement run;
  run.another_task = &task;
  run.rl.temperature = 2;  // or all say the same
  ExpectNoGap(run.Lines(), 6);
}

TEST(ZeroGap, HoldsForEveryVariantOfTheUpdate) {
  Improvement run;
  run.rl.advantage = "std";
  run.rl.loss_normalisation = "sequence";
  run.rl.ratio = "sequence";
  run.rl.updates_per_round = 2;
  run.rl.resample_rounds = 2;
  run.train.recompute = true;
  run.config.q_lora_rank = 0;
  run.optimizer.optimizer = "adamw";
  ExpectNoGap(run.Lines(), 6);
}

}  // namespace
}  // namespace sputnik
