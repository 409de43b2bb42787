#include "task/multiplication.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "task/digits.h"
#include "task/think_answer.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

int64_t Number(const std::string& digits) { return std::stoll(ReverseDigits(digits)); }

struct Operands {
  std::string a, b;
};

Operands ParsePrompt(const std::string& prompt) {
  const size_t star = prompt.find('*');
  return {prompt.substr(0, star), prompt.substr(star + 1, prompt.size() - star - 2)};
}

TEST(Multiplication, AnswersAreProductsAndEarnFullReward) {
  for (const int64_t digits : {1, 2}) {
    const Multiplication task({.multiplier_digits = digits});
    for (int64_t level = 1; level <= 6; ++level) {
      for (uint64_t index = 0; index < 100; ++index) {
        const Problem problem = task.Make(1, level, index, Split::kTrain);
        const auto [a, b] = ParsePrompt(problem.prompt);
        EXPECT_EQ(a.size(), static_cast<size_t>(level));
        EXPECT_EQ(b.size(), static_cast<size_t>(digits));
        const ThinkAnswer parsed = ParseThinkAnswer(problem.answer);
        ASSERT_TRUE(parsed.well_formed && parsed.answer);
        EXPECT_EQ(*parsed.answer, ReverseDigits(std::to_string(Number(a) * Number(b)))) << problem.prompt;
        EXPECT_DOUBLE_EQ(task.Grade(problem, problem.answer).reward, 1.0);
      }
    }
  }
}

TEST(Multiplication, TheScratchPadIsRightLineByLine) {
  const Multiplication task({.multiplier_digits = 2});
  for (uint64_t index = 0; index < 300; ++index) {
    const Problem problem = task.Make(4, 3, index, Split::kTrain);
    const auto [a, b] = ParsePrompt(problem.prompt);
    // 7:41 22 03=4203 5:01 61 12=0612 4203+00612=42642
    const std::string thought = problem.answer.substr(7, problem.answer.find("</think>") - 7);
    ASSERT_EQ(thought.substr(0, 2), fmt::format("{}:", b[0]));
    ASSERT_EQ(thought[15], ' ');
    ASSERT_EQ(thought.substr(16, 2), fmt::format("{}:", b[1]));
    for (size_t line = 0; line < 2; ++line) {
      int64_t carry = 0;
      for (size_t i = 0; i < 3; ++i) {
        const int64_t product = (a[i] - '0') * (b[line] - '0') + carry;
        carry = product / 10;
        EXPECT_EQ(Number(thought.substr(16 * line + 2 + 3 * i, 2)), product);
      }
      EXPECT_EQ(Number(thought.substr(16 * line + 11, 4)), Number(a) * (b[line] - '0'));
    }
    const std::string sum = thought.substr(32);
    EXPECT_EQ(sum.substr(0, 10), fmt::format("{}+0{}", thought.substr(11, 4), thought.substr(27, 4)));
    EXPECT_EQ(Number(sum.substr(11)), Number(a) * Number(b));
  }
}

TEST(Multiplication, DemonstrationsAreShort) {
  EXPECT_LT(Multiplication({.multiplier_digits = 1}).Make(1, 4, 0, Split::kTrain).answer.size(), 70u);
  EXPECT_LT(Multiplication({.multiplier_digits = 2}).Make(1, 3, 0, Split::kTrain).answer.size(), 90u);
}

TEST(Multiplication, SplitsShareNoOperands) {
  for (const int64_t digits : {1, 2}) {
    const Multiplication task({.multiplier_digits = digits});
    for (int64_t level = 1; level <= 2; ++level) {
      std::set<std::pair<std::string, std::string>> train, held_out;
      for (uint64_t index = 0; index < 3000; ++index) {
        const auto add = [&](auto& pairs, uint64_t seed, Split split) {
          const auto [a, b] = ParsePrompt(task.Make(seed, level, index, split).prompt);
          pairs.insert(std::minmax(a, b));
        };
        add(train, 0, Split::kTrain);
        add(held_out, 1, Split::kHeldOut);
      }
      for (const auto& pair : held_out) EXPECT_EQ(train.count(pair), 0u);
      EXPECT_GE(held_out.size(), 3u);
    }
  }
}

TEST(Multiplication, ProblemsArePureFunctions) {
  const Multiplication task({.multiplier_digits = 2});
  EXPECT_EQ(task.Make(1, 9, 5, Split::kTrain).answer, task.Make(1, 9, 5, Split::kTrain).answer);
  EXPECT_NE(task.Make(1, 9, 5, Split::kTrain).answer, task.Make(1, 9, 6, Split::kTrain).answer);
  EXPECT_NE(task.Make(1, 9, 5, Split::kTrain).answer, task.Make(2, 9, 5, Split::kTrain).answer);
}

TEST(Multiplication, GradesTheAnswerAlone) {
  const Multiplication task({.multiplier_digits = 2});
  const Problem problem{.prompt = "234*75=", .answer = WriteThinkAnswer("any", "42642"), .level = 3};
  EXPECT_DOUBLE_EQ(task.Grade(problem, "<think>wrong</think><answer> 42642 </answer>").reward, 1.0);
  EXPECT_DOUBLE_EQ(task.Grade(problem, "<answer>42642</answer>").reward, 0.9);
  EXPECT_DOUBLE_EQ(task.Grade(problem, "<think></think><answer>426420</answer>").reward, 0.1);
  EXPECT_DOUBLE_EQ(task.Grade(problem, "<think></think><answer></answer>").reward, 0.1);
  EXPECT_DOUBLE_EQ(task.Grade(problem, "42642").reward, 0.0);
  EXPECT_DOUBLE_EQ(task.Grade(problem, "").reward, 0.0);
  std::string huge = "<think>";
  while (huge.size() < (10 << 20)) huge += "<answer";
  EXPECT_DOUBLE_EQ(task.Grade(problem, huge).reward, 0.0);
  EXPECT_DOUBLE_EQ(task.Grade(problem, huge + "</think><answer>42642</answer>").reward, 1.0);
}

TEST(Multiplication, RefusesOptionsAndLevelsOutOfRange) {
  for (const int64_t digits : {0, 3}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { Multiplication({.multiplier_digits = digits}); }),
                    "multiplier_digits");
  }
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { Multiplication({}).Make(1, 0, 0, Split::kTrain); }),
                  "task multiplication: no level 0");
}

}  // namespace
}  // namespace sputnik
