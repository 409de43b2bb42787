#include "task/arithmetic.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "task/digits.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

struct Operands {
  std::string a, b;
};

Operands ParsePrompt(const std::string& prompt) {
  const size_t plus = prompt.find('+');
  EXPECT_EQ(prompt.back(), '=');
  return {prompt.substr(0, plus), prompt.substr(plus + 1, prompt.size() - plus - 2)};
}

TEST(Arithmetic, ReversedDigitsAreTheDefault) {
  const Arithmetic task({});
  for (int64_t level = 1; level <= 9; ++level) {
    for (uint64_t index = 0; index < 50; ++index) {
      const Problem problem = task.Make(1, level, index, Split::kTrain);
      const auto [a, b] = ParsePrompt(problem.prompt);
      EXPECT_EQ(a.size(), static_cast<size_t>(level));
      EXPECT_EQ(b.size(), static_cast<size_t>(level));
      EXPECT_NE(a.back(), '0');
      EXPECT_NE(b.back(), '0');
      EXPECT_NE(problem.answer.back(), '0');
      const auto number = [](const std::string& digits) { return std::stoll(ReverseDigits(digits)); };
      EXPECT_EQ(number(a) + number(b), number(problem.answer)) << problem.prompt;
      EXPECT_EQ(problem.level, level);
    }
  }
}

TEST(Arithmetic, TheUsualOrderOnDemand) {
  const Arithmetic task({.reversed = false});
  const Problem problem = task.Make(1, 7, 3, Split::kHeldOut);
  const auto [a, b] = ParsePrompt(problem.prompt);
  EXPECT_EQ(std::to_string(std::stoll(a) + std::stoll(b)), problem.answer);
}

TEST(Arithmetic, ProblemsArePureFunctions) {
  const Arithmetic task({}), same({});
  EXPECT_EQ(task.Make(1, 20, 5, Split::kTrain).prompt, same.Make(1, 20, 5, Split::kTrain).prompt);
  EXPECT_NE(task.Make(1, 20, 5, Split::kTrain).prompt, task.Make(2, 20, 5, Split::kTrain).prompt);
  EXPECT_NE(task.Make(1, 20, 5, Split::kTrain).prompt, task.Make(1, 20, 6, Split::kTrain).prompt);
  EXPECT_NE(task.Make(1, 20, 5, Split::kTrain).prompt, task.Make(1, 20, 5, Split::kHeldOut).prompt);
  EXPECT_EQ(task.Make(7, 3, 0, Split::kTrain).prompt, "838+352=");  // the same on every machine, for ever
}

TEST(Arithmetic, SplitsShareNoOperandsInAnyOrder) {
  const Arithmetic task({});
  for (int64_t level = 1; level <= 3; ++level) {
    std::set<std::pair<std::string, std::string>> train, held_out;
    for (uint64_t index = 0; index < 3000; ++index) {
      const auto add = [&](auto& pairs, uint64_t seed, Split split) {
        const auto [a, b] = ParsePrompt(task.Make(seed, level, index, split).prompt);
        pairs.insert(std::minmax(a, b));
      };
      add(train, index % 2, Split::kTrain);
      add(held_out, 2 + index % 2, Split::kHeldOut);
    }
    for (const auto& pair : held_out) EXPECT_EQ(train.count(pair), 0u) << pair.first << "+" << pair.second;
    if (level == 1) {
      EXPECT_EQ(train.size() + held_out.size(), 45u);  // all of them, the unordered pairs of 1 to 9
      EXPECT_GE(held_out.size(), 3u);
    }
  }
}

TEST(Arithmetic, GradesExactly) {
  const Arithmetic task({});
  const Problem problem{.prompt = "52341+99121=", .answer = "42562", .level = 5};
  for (const char* right : {"42562", " 42562\n", "\t42562\r\n"}) {
    EXPECT_EQ(task.Grade(problem, right).reward, 1.0);
    EXPECT_TRUE(task.Grade(problem, right).correct);
  }
  for (const char* wrong : {"", " ", "42563", "4256", "425620", "4 2562", "42562.", "=42562", "42562 42562", "\xff"}) {
    EXPECT_EQ(task.Grade(problem, wrong).reward, 0.0) << wrong;
    EXPECT_FALSE(task.Grade(problem, wrong).correct);
  }
  EXPECT_FALSE(task.Grade(problem, std::string(10 << 20, '4')).correct);
  EXPECT_FALSE(task.Grade(problem, std::string_view("42562\0", 6)).correct);
}

TEST(Arithmetic, ScratchPadShowsTheColumns) {
  const Arithmetic reversed({.scratchpad = true}), usual({.reversed = false, .scratchpad = true});
  for (uint64_t index = 0; index < 100; ++index) {
    const Problem problem = reversed.Make(1, 4, index, Split::kTrain);
    EXPECT_DOUBLE_EQ(reversed.Grade(problem, problem.answer).reward, 1.0);
    const auto [a, b] = ParsePrompt(problem.prompt);
    const std::string sum = AddDigits(a, b);
    EXPECT_MENTIONS(problem.answer, fmt::format("</think><answer>{}</answer>", sum));
    // Each column is digit + digit + carry = digit and carry.
    char carry = '0';
    for (size_t i = 0; i < 4; ++i) {
      const std::string column = problem.answer.substr(7 + 9 * i, 8);
      EXPECT_EQ(column.substr(0, 6), fmt::format("{}+{}+{}=", a[i], b[i], carry));
      EXPECT_EQ(column[6], sum[i]);
      carry = column[7];
    }
  }
  const Problem problem = usual.Make(1, 4, 0, Split::kTrain);
  EXPECT_DOUBLE_EQ(usual.Grade(problem, problem.answer).reward, 1.0);
  EXPECT_DOUBLE_EQ(usual.Grade(problem, "<think></think><answer>1</answer>").reward, 0.1);
  EXPECT_DOUBLE_EQ(usual.Grade(problem, "").reward, 0.0);
}

TEST(Arithmetic, LevelsAreBounded) {
  const Arithmetic task({});
  EXPECT_EQ(task.Make(1, 512, 0, Split::kTrain).prompt.size(), 1026u);
  for (const int64_t level : {int64_t{0}, int64_t{-3}, int64_t{513}, INT64_MAX}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { task.Make(1, level, 0, Split::kTrain); }), "addition");
  }
}

}  // namespace
}  // namespace sputnik
