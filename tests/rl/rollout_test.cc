#include "rl/rollout.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "kernel/backend.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_task.h"

namespace sputnik {
namespace {

class RolloutTest : public testing::Test {
 protected:
  RolloutTest() : tokenizer_(MakeByteTokenizer(folder_.path())), decoder_(Config(), DType::kF32, false) {
    InitialisePolicy(decoder_, tokenizer_, 1);
    config_.prompts_per_step = 5;
    config_.group_size = 4;
    config_.max_tokens = 8;
    config_.temperature = 0.8;
  }
  ModelConfig Config() const {
    ModelConfig config = TinyTextConfig(tokenizer_);
    config.position_mode = "randomised";
    config.position_range = 100;
    return config;
  }
  std::vector<RolloutGroup> Collect(int64_t step, const EngineOptions& options = {}, int threads = 1,
                                    uint64_t seed = 7) {
    ThreadPool pool(threads);
    Engine engine(decoder_, {KernelsFor("cpu"), pool}, options);
    return CollectRollouts({engine, tokenizer_, task_, config_, seed}, Curriculum(config_, {}), step);
  }

  TemporaryFolder folder_;
  Tokenizer tokenizer_;
  Decoder decoder_;
  TinyTask task_;
  RlConfig config_;
};

// All that a round holds, to the last bit.
std::string TextOf(const std::vector<RolloutGroup>& groups) {
  std::string text;
  for (const RolloutGroup& group : groups) {
    for (const Rollout& r : group.rollouts) {
      text += r.problem.prompt + Json(r.prompt).dump() + Json(r.completion.tokens).dump() +
              Json(r.completion.logprobs).dump() + Json(r.completion.positions).dump() +
              Json({r.reward, r.advantage}).dump() + (group.uniform ? "u\n" : "m\n");
    }
  }
  return text;
}

TEST_F(RolloutTest, IsAPureFunctionOfWeightsSeedAndStep) {
  const std::string expected = TextOf(Collect(3));
  EXPECT_EQ(TextOf(Collect(3)), expected);
  EXPECT_EQ(TextOf(Collect(3, {.max_batch_tokens = 9, .prefill_chunk = 4, .max_sequences = 3})), expected);
  EXPECT_EQ(TextOf(Collect(3, {.cache_tokens = 160, .prefix_cache = false}, 3)), expected);
  EXPECT_NE(TextOf(Collect(4)), expected);
  EXPECT_NE(TextOf(Collect(3, {}, 1, 8)), expected);
  InitialisePolicy(decoder_, tokenizer_, 2);
  EXPECT_NE(TextOf(Collect(3)), expected);
}

TEST_F(RolloutTest, AGroupSharesItsPromptAndNothingElse) {
  const std::vector<RolloutGroup> groups = Collect(0);
  ASSERT_EQ(groups.size(), 5u);
  std::set<std::string> prompts, completions;
  for (const RolloutGroup& group : groups) {
    ASSERT_EQ(group.rollouts.size(), 4u);
    prompts.insert(group.rollouts[0].problem.prompt);
    for (const Rollout& r : group.rollouts) {
      EXPECT_EQ(r.prompt, group.rollouts[0].prompt);
      EXPECT_EQ(r.problem.prompt.front(), 'T') << "of the training split";
      completions.insert(Json(r.completion.tokens).dump());
      EXPECT_LE(r.completion.tokens.size(), 8u);
      EXPECT_EQ(r.completion.tokens.size(), r.completion.logprobs.size());
    }
  }
  EXPECT_EQ(prompts.size(), 5u);
  EXPECT_GT(completions.size(), 8u);
}

TEST_F(RolloutTest, AdvantagesAreCentredWithinEachGroup) {
  bool mixed = false;
  for (const RolloutGroup& group : Collect(1)) {
    double sum = 0, reward = 0;
    for (const Rollout& r : group.rollouts) {
      sum += r.advantage;
      reward += r.reward;
      EXPECT_EQ(r.reward, r.score.reward);
    }
    EXPECT_NEAR(sum, 0, 1e-12);
    EXPECT_EQ(group.uniform, reward == 0 || reward == 4);
    mixed = mixed || !group.uniform;
  }
  EXPECT_TRUE(mixed);
}

TEST_F(RolloutTest, ResamplingAddsRoundsUntilEnoughGroupsAreMixed) {
  // Half of the prompts can never be passed.
  task_ = TinyTask([](const Problem& problem, std::string_view completion) {
    return problem.prompt.size() % 2 == 0 ? 0 : TinyTask::EvenSum(problem, completion);
  });
  const std::string once = TextOf(Collect(2));
  const auto mixed = [](const std::vector<RolloutGroup>& groups) {
    return std::count_if(groups.begin(), groups.end(), [](const RolloutGroup& g) { return !g.uniform; });
  };
  ASSERT_LT(mixed(Collect(2)), 5);
  config_.resample_rounds = 20;
  const std::vector<RolloutGroup> filled = Collect(2);
  EXPECT_GE(mixed(filled), 5);
  EXPECT_LT(mixed({filled.begin(), filled.end() - 5}), 5) << "a round too many";
  EXPECT_EQ(TextOf(filled).substr(0, once.size()), once) << "further rounds changed the first";
  std::set<std::string> prompts;
  for (const RolloutGroup& group : filled) prompts.insert(group.rollouts[0].problem.prompt);
  EXPECT_EQ(prompts.size(), filled.size()) << "a prompt came twice";
  // Where nothing helps, it ends.
  task_ = TinyTask([](const Problem&, std::string_view) { return 0.0; });
  config_.resample_rounds = 2;
  EXPECT_EQ(Collect(2).size(), 15u);
}

// The control: a coin that knows the place of a sample and nothing about it.
TEST_F(RolloutTest, RandomRewardsDoNotDependOnTheCompletion) {
  config_.reward = "random";
  const auto rewards = [&](int64_t step) {
    std::vector<double> all;
    for (const RolloutGroup& group : Collect(step)) {
      for (const Rollout& r : group.rollouts) all.push_back(r.reward);
    }
    return all;
  };
  const std::vector<double> first = rewards(0);
  EXPECT_EQ(rewards(0), first);
  EXPECT_NE(rewards(1), first);
  InitialisePolicy(decoder_, tokenizer_, 2);
  EXPECT_EQ(rewards(0), first);
  task_ = TinyTask([](const Problem&, std::string_view) { return 0.0; });
  EXPECT_EQ(rewards(0), first);
  double heads = 0;
  for (int64_t step = 0; step < 20; ++step) {
    for (const double r : rewards(step)) heads += r;
  }
  EXPECT_NEAR(heads, 200, 40);
}

TEST_F(RolloutTest, ARewardThatIsNoNumberCountsNothing) {
  task_ = TinyTask([](const Problem&, std::string_view) { return std::numeric_limits<double>::quiet_NaN(); });
  for (const RolloutGroup& group : Collect(0)) {
    EXPECT_TRUE(group.uniform);
    for (const Rollout& r : group.rollouts) EXPECT_EQ(r.advantage, 0);
  }
}

TEST_F(RolloutTest, TrainsOnTheCompletionAlone) {
  const std::vector<RolloutGroup> groups = Collect(0);
  for (const RolloutGroup& group : groups) {
    for (const Rollout& r : group.rollouts) {
      const Sample sample = TrainingSample(r);
      ASSERT_EQ(sample.ids.size(), r.prompt.size() + r.completion.tokens.size());
      for (size_t i = 0; i < sample.ids.size(); ++i) {
        const bool own = i >= r.prompt.size();
        EXPECT_EQ(sample.ids[i], own ? r.completion.tokens[i - r.prompt.size()] : r.prompt[i]);
        EXPECT_EQ(sample.target_weights[i], own ? 1.f : 0.f);
      }
      ASSERT_EQ(sample.positions.size(), sample.ids.size());
      EXPECT_TRUE(std::equal(sample.positions.begin(), sample.positions.end(), r.completion.positions.begin()));
    }
  }
}

TEST(RolloutMetrics, AreTheRoundsFigures) {
  const auto rollout = [](int64_t level, double reward, std::vector<float> logprobs, FinishReason reason) {
    Rollout r;
    r.problem.level = level;
    r.reward = reward;
    r.score = {.reward = reward, .correct = reward == 1, .parts = {{"form", 0.5 * reward}}};
    r.completion.tokens.resize(logprobs.size());
    r.completion.logprobs = std::move(logprobs);
    r.completion.reason = reason;
    return r;
  };
  const std::vector<RolloutGroup> groups = {
      {{rollout(1, 1, {-1, -2}, FinishReason::kStop), rollout(1, 0, {-3, -3, -3, -3}, FinishReason::kLength)}, false},
      {{rollout(2, 1, {-1}, FinishReason::kStop), rollout(2, 1, {-1}, FinishReason::kStop)}, true}};
  std::map<std::string, double> figures;
  for (const auto& [name, value] : RolloutMetrics(groups)) figures[name] = value;
  EXPECT_DOUBLE_EQ(figures.at("reward"), 0.75);
  EXPECT_DOUBLE_EQ(figures.at("reward_std"), std::sqrt(0.5) / 2);  // mean of the groups' deviations, √½ and 0
  EXPECT_DOUBLE_EQ(figures.at("pass@2"), 1);
  EXPECT_DOUBLE_EQ(figures.at("rewards/form/mean"), 0.375);
  EXPECT_NEAR(figures.at("rewards/form/std"), 0.5 * std::sqrt(0.25), 1e-12);
  EXPECT_DOUBLE_EQ(figures.at("frac_reward_zero_std"), 0.5);
  EXPECT_DOUBLE_EQ(figures.at("completions/mean_length"), 2);
  EXPECT_DOUBLE_EQ(figures.at("completions/clipped_ratio"), 0.25);
  EXPECT_DOUBLE_EQ(figures.at("completions/mean_terminated_length"), 4.0 / 3);
  EXPECT_DOUBLE_EQ(figures.at("sampled_logprob"), -17.0 / 8);
  EXPECT_DOUBLE_EQ(figures.at("accuracy/1"), 0.5);
  EXPECT_DOUBLE_EQ(figures.at("accuracy/2"), 1);
}

TEST_F(RolloutTest, FilesHoldWhatWasLearntFrom) {
  const std::vector<RolloutGroup> groups = Collect(0);
  WriteRollouts(folder_ / "r.jsonl", tokenizer_, groups);
  const std::string text = ReadFile(folder_ / "r.jsonl");
  size_t begin = 0;
  for (const RolloutGroup& group : groups) {
    for (const Rollout& r : group.rollouts) {
      const size_t end = text.find('\n', begin);
      ASSERT_NE(end, text.npos);
      const Json line = ParseJson(text.substr(begin, end - begin), "line");
      begin = end + 1;
      EXPECT_EQ(line["prompt"], r.problem.prompt);
      EXPECT_EQ(line["prompt_ids"].get<std::vector<int32_t>>(), r.prompt);
      EXPECT_EQ(line["output_ids"].get<std::vector<int32_t>>(), r.completion.tokens);
      EXPECT_EQ(line["logprobs"].get<std::vector<float>>(), r.completion.logprobs);
      EXPECT_EQ(line["reward"], r.reward);
      EXPECT_EQ(line["advantage"], r.advantage);
      EXPECT_EQ(line["parts"]["even"], r.reward);
    }
  }
  EXPECT_EQ(begin, text.size());
}

}  // namespace
}  // namespace sputnik
