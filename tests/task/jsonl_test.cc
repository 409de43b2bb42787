#include "task/jsonl.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

fs::path Write(const TemporaryFolder& folder, const std::string& text) {
  std::ofstream(folder / "p.jsonl", std::ios::binary) << text;
  return folder / "p.jsonl";
}

std::string Problems(int count, int level) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "{\"prompt\":\"p" + std::to_string(level) + "." + std::to_string(i) + "\",\"answer\":" + std::to_string(i) +
            ",\"level\":" + std::to_string(level) + "}\n";
  }
  return text;
}

std::set<std::string> Prompts(const JsonlTask& task, int64_t level, Split split, uint64_t first, uint64_t count) {
  std::set<std::string> prompts;
  for (uint64_t i = first; i < first + count; ++i) prompts.insert(task.Make(1, level, i, split).prompt);
  return prompts;
}

TEST(JsonlTask, EachEpochVisitsEveryPromptAndSplitsAreDisjoint) {
  const TemporaryFolder folder;
  const JsonlTask task({.file = Write(folder, Problems(100, 1) + Problems(50, 4))});
  EXPECT_EQ(task.levels().lowest, 1);
  EXPECT_EQ(task.levels().highest, 4);
  for (const auto& [level, count] : {std::pair<int64_t, size_t>{1, 100}, {4, 50}}) {
    const std::set<std::string> train = Prompts(task, level, Split::kTrain, 0, 1000);
    const std::set<std::string> held_out = Prompts(task, level, Split::kHeldOut, 0, 1000);
    EXPECT_EQ(train.size() + held_out.size(), count);
    EXPECT_GT(held_out.size(), 0u);
    for (const std::string& prompt : held_out) EXPECT_EQ(train.count(prompt), 0u);
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ(Prompts(task, level, Split::kTrain, epoch * train.size(), train.size()), train);
    }
  }
  EXPECT_EQ(task.Make(1, 1, 7, Split::kTrain).prompt, task.Make(1, 1, 7, Split::kTrain).prompt);
}

TEST(JsonlTask, OtherNamesAndNumbersAreUnderstood) {
  const TemporaryFolder folder;
  const JsonlTask task({.file = Write(folder, R"({"question":"q","ground_truth":18.5})")});
  Problem problem;
  try {
    problem = task.Make(1, 1, 0, Split::kTrain);
  } catch (const Error&) {
    problem = task.Make(1, 1, 0, Split::kHeldOut);
  }
  EXPECT_EQ(problem.prompt, "q");
  EXPECT_EQ(problem.answer, "18.5");
  EXPECT_EQ(problem.level, 1);
}

TEST(JsonlTask, Grades) {
  const TemporaryFolder folder;
  const fs::path path = Write(folder, Problems(3, 1));
  const JsonlTask numeric({.file = path}), exact({.file = path, .exact = true});
  const Problem problem{.prompt = "p", .answer = "12", .level = 1};
  EXPECT_TRUE(numeric.Grade(problem, "it is 12.0").correct);
  EXPECT_FALSE(exact.Grade(problem, "it is 12.0").correct);
  EXPECT_TRUE(exact.Grade(problem, " 12\n").correct);
  EXPECT_EQ(numeric.Grade(problem, "").reward, 0.0);
}

TEST(JsonlTask, BrokenLinesAreNamed) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& line) {
    const fs::path path = Write(folder, Problems(1, 1) + line);
    const std::string text = ExpectError(ExitCode::kBadInput, [&] { JsonlTask({.file = path}); });
    EXPECT_MENTIONS(text, "p.jsonl:2:");
    return text;
  };
  EXPECT_MENTIONS(message("{\"prompt\":"), "not valid JSON");
  EXPECT_MENTIONS(message("{\"answer\":\"1\"}"), "no \"prompt\"");
  EXPECT_MENTIONS(message("{\"prompt\":\"p\"}"), "no \"answer\"");
  EXPECT_MENTIONS(message("{\"prompt\":[1],\"answer\":\"1\"}"), "\"prompt\" has type array");
  EXPECT_MENTIONS(message("{\"prompt\":\" \",\"answer\":\"1\"}"), "the prompt is empty");
  EXPECT_MENTIONS(message("{\"prompt\":\"p\",\"answer\":\"\"}"), "the answer is empty");
  for (const char* level : {"-1", "1.5", "\"a\"", "1000001", "18446744073709551615", "null"}) {
    EXPECT_MENTIONS(message(std::string("{\"prompt\":\"p\",\"answer\":\"1\",\"level\":") + level + "}"),
                    "\"level\" is");
  }
}

TEST(JsonlTask, MissingFilesLevelsAndSplits) {
  const TemporaryFolder folder;
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { JsonlTask({.file = folder / "none.jsonl"}); }), "none.jsonl");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { JsonlTask({.file = Write(folder, "\n")}); }),
                  "p.jsonl: no problem in there");
  const JsonlTask task({.file = Write(folder, Problems(1, 1) + Problems(1, 9))});
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { task.Make(1, 10, 0, Split::kTrain); }), "1 to 9");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { task.Make(1, 5, 0, Split::kTrain); }), "the nearest is level 9");
  int refused = 0;
  for (const Split split : {Split::kTrain, Split::kHeldOut}) {
    try {
      task.Make(1, 1, 0, split);
    } catch (const Error& error) {
      EXPECT_MENTIONS(std::string(error.what()), "level 1 has no problem");
      ++refused;
    }
  }
  EXPECT_EQ(refused, 1);
}

// So that an evaluation can ask each problem once.
TEST(JsonlTask, CountsItsProblemsAndGivesEachOnceBeforeAnyAgain) {
  const TemporaryFolder folder;
  const JsonlTask task({.file = Write(folder, Problems(40, 1) + Problems(15, 3))});
  const auto count = [&](int64_t level, Split split) { return task.Count(level, split).value(); };
  EXPECT_EQ(count(1, Split::kTrain) + count(1, Split::kHeldOut), 40);
  EXPECT_EQ(count(3, Split::kTrain) + count(3, Split::kHeldOut), 15);
  const int64_t all = count(1, Split::kTrain);
  for (const uint64_t seed : {1, 2}) {
    std::set<std::string> prompts;
    for (int64_t i = 0; i < all; ++i) {
      prompts.insert(task.Make(seed, 1, static_cast<uint64_t>(i), Split::kTrain).prompt);
    }
    EXPECT_EQ(static_cast<int64_t>(prompts.size()), all);
  }
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { task.Count(2, Split::kTrain); }), "no problem of level 2");
}

TEST(JsonlTask, GradeSchoolMathsGradesItsOwnSolutions) {
  const char* shared = std::getenv("SPUTNIK_SHARED");
  const fs::path path = fs::path(shared ? shared : SPUTNIK_SOURCE_DIR "/../shared") / "data/gsm8k/test.jsonl";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is missing";
  const JsonlTask task({.file = path});
  std::set<std::string> prompts;
  for (uint64_t i = 0; i < 1000; ++i) {
    const Problem problem = task.Make(1, 1, i, Split::kTrain);
    prompts.insert(problem.prompt);
    EXPECT_TRUE(task.Grade(problem, problem.answer).correct) << problem.answer;
    const std::string number = problem.answer.substr(problem.answer.find("####") + 5);
    EXPECT_TRUE(task.Grade(problem, "The answer is " + number + ".").correct) << number;
    EXPECT_FALSE(task.Grade(problem, "The answer is " + number + "1.").correct) << number;
  }
  EXPECT_EQ(prompts.size(), 1000u);
}

}  // namespace
}  // namespace sputnik
