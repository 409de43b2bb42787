#include "eval/answers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "base/json.h"
#include "kernel/backend.h"
#include "task/registry.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_task.h"

namespace sputnik {
namespace {

// Every choice of k among n samples, of which the first c are right, looked at.
TEST(PassAtK, IsTheShareOfAllChoicesWithARightOne) {
  for (int n = 1; n <= 9; ++n) {
    for (int c = 0; c <= n; ++c) {
      for (int k = 1; k <= n; ++k) {
        double choices = 0, passed = 0;
        for (unsigned mask = 0; mask < (1u << n); ++mask) {
          if (std::popcount(mask) != k) continue;
          ++choices;
          passed += (mask & ((1u << c) - 1)) != 0;
        }
        EXPECT_NEAR(PassAtK(n, c, k), passed / choices, 1e-12) << n << " " << c << " " << k;
      }
    }
  }
}

TEST(PassAtK, HoldsForManySamples) {
  EXPECT_NEAR(PassAtK(1000, 1, 1), 0.001, 1e-12);
  EXPECT_NEAR(PassAtK(1000, 1, 500), 0.5, 1e-9);
  EXPECT_EQ(PassAtK(1000, 0, 1000), 0);
  EXPECT_EQ(PassAtK(1000, 1, 1000), 1);
}

class EvaluateTaskTest : public testing::Test {
 protected:
  EvaluateTaskTest()
      : tokenizer_(MakeByteTokenizer(folder_.path())), decoder_(TinyTextConfig(tokenizer_), DType::kF32, false) {
    InitialisePolicy(decoder_, tokenizer_, 1);
  }
  AnswerEvalResult Evaluate(const AnswerEvalOptions& options, int threads = 1) {
    ThreadPool pool(threads);
    return EvaluateTask(decoder_, {KernelsFor("cpu"), pool}, tokenizer_, task_, options);
  }

  TemporaryFolder folder_;
  Tokenizer tokenizer_;
  Decoder decoder_;
  TinyTask task_;
};

TEST_F(EvaluateTaskTest, IsDeterministicWhateverTheThreads) {
  const AnswerEvalOptions options{.problems = 30, .samples = 4, .max_tokens = 8, .temperature = 1, .seed = 3};
  const std::string expected = ResultJson(Evaluate(options), "sft");
  EXPECT_EQ(ResultJson(Evaluate(options), "sft"), expected);
  EXPECT_EQ(ResultJson(Evaluate(options, 3), "sft"), expected);
  AnswerEvalOptions other = options;
  other.seed = 4;
  EXPECT_NE(ResultJson(Evaluate(other), "sft"), expected);
}

// Figures counted again from all completions.
TEST_F(EvaluateTaskTest, FiguresAreTheCountsOfItsCompletions) {
  int64_t graded = 0, right = 0, held_out = 0;
  std::map<std::string, int> passed;
  task_ = TinyTask([&](const Problem& problem, std::string_view completion) {
    const double reward = TinyTask::EvenSum(problem, completion);
    ++graded;
    right += reward == 1;
    passed[problem.prompt] += reward == 1;
    held_out += problem.prompt.starts_with('H');
    EXPECT_EQ(problem.level, 2);
    return reward;
  });
  const AnswerEvalResult result =
      Evaluate({.level = 2, .problems = 40, .samples = 3, .max_tokens = 8, .temperature = 1, .seed = 5, .keep = 2});
  EXPECT_EQ(graded, 120);
  EXPECT_EQ(held_out, 120);
  EXPECT_NEAR(result.pass_at_1, static_cast<double>(right) / 120, 1e-12);
  const auto any = std::count_if(passed.begin(), passed.end(), [](const auto& p) { return p.second > 0; });
  EXPECT_EQ(passed.size(), 40u);
  EXPECT_NEAR(result.pass_at_k, static_cast<double>(any) / 40, 1e-12);
  EXPECT_GT(result.pass_at_k, result.pass_at_1);
  EXPECT_LT(result.ci95_low, result.pass_at_1);
  EXPECT_GT(result.ci95_high, result.pass_at_1);
  ASSERT_EQ(result.kept.size(), 2u);
  EXPECT_NE(result.kept[0].problem.prompt, result.kept[1].problem.prompt);
  EXPECT_EQ(result.kept[0].score.correct, TinyTask::EvenSum({}, result.kept[0].completion) == 1);
  EXPECT_GT(result.mean_tokens, 1);
  EXPECT_LE(result.mean_tokens, 8);
}

TEST_F(EvaluateTaskTest, GreedyAnswersDoNotHangOnTheSamplingSeed) {
  // The same problems by another way: greedy decoding of each prompt alone.
  const AnswerEvalOptions options{.problems = 10, .max_tokens = 6, .seed = 2, .keep = 10};
  const AnswerEvalResult result = Evaluate(options);
  ThreadPool pool(1);
  Engine engine(decoder_, {KernelsFor("cpu"), pool});
  ASSERT_EQ(result.kept.size(), 10u);
  for (const AnsweredProblem& answered : result.kept) {
    Request request{.prompt = EncodePrompt(tokenizer_, task_, answered.problem), .max_tokens = 6};
    request.sampling.temperature = 0;
    request.sampling.seed = 12345;
    request.stop_ids = {tokenizer_.eos_id()};
    EXPECT_EQ(answered.completion, DecodeCompletion(tokenizer_, engine.Run({request})[0].tokens));
  }
}

TEST_F(EvaluateTaskTest, HeldOutProblemsAreNeverTrainedOn) {
  const std::unique_ptr<Task> addition = MakeTask("addition", {});
  std::set<std::string> train;
  for (uint64_t i = 0; i < 4000; ++i) train.insert(addition->Make(1, 1, i, Split::kTrain).prompt);
  ThreadPool pool(1);
  const AnswerEvalResult result = EvaluateTask(decoder_, {KernelsFor("cpu"), pool}, tokenizer_, *addition,
                                               {.level = 1, .problems = 60, .max_tokens = 2, .seed = 1, .keep = 60});
  ASSERT_EQ(result.kept.size(), 60u);
  for (const AnsweredProblem& answered : result.kept) {
    EXPECT_FALSE(train.contains(answered.problem.prompt)) << answered.problem.prompt;
  }
}

TEST(ResultJson, HasTheNamesOfTheReport) {
  AnswerEvalResult result;
  result.task = "addition";
  result.options = {.split = Split::kTrain, .level = 7, .problems = 200, .samples = 16, .temperature = 1, .seed = 9};
  result.pass_at_1 = 0.25;
  result.pass_at_k = 0.75;
  result.ci95_low = 0.125;
  result.ci95_high = 0.5;
  const Json json = ParseJson(ResultJson(result, "improve"), "result");
  EXPECT_EQ(json["task"], "addition");
  EXPECT_EQ(json["split"], "train");
  EXPECT_EQ(json["stage"], "improve");
  EXPECT_EQ(json["level"], 7);
  EXPECT_EQ(json["pass_at_1"], 0.25);
  EXPECT_EQ(json["pass_at_k"], 0.75);
  EXPECT_EQ(json["k"], 16);
  EXPECT_EQ(json["n"], 200);
  EXPECT_EQ(json["ci95"], Json({0.125, 0.5}));
  EXPECT_EQ(json["seed"], 9);
}

}  // namespace
}  // namespace sputnik
