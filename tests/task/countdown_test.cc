#include "task/countdown.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "task/expression.h"
#include "task/think_answer.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

struct Given {
  std::vector<int64_t> numbers;  // sorted
  int64_t target = 0;
};

Given ParsePrompt(const std::string& prompt) {
  const size_t equals = prompt.find('=');
  std::istringstream list(prompt.substr(0, equals));
  Given given;
  for (int64_t number; list >> number;) given.numbers.push_back(number);
  std::sort(given.numbers.begin(), given.numbers.end());
  given.target = std::stoll(prompt.substr(equals + 1));
  return given;
}

TEST(Countdown, DemonstrationsSolveTheirProblems) {
  for (const int64_t numbers : {2, 3, 4}) {
    const Countdown task({.numbers = numbers});
    for (const int64_t level : {6, 9, 25, 99}) {
      for (uint64_t index = 0; index < 200; ++index) {
        const Problem problem = task.Make(1, level, index, index % 2 ? Split::kTrain : Split::kHeldOut);
        const Given given = ParsePrompt(problem.prompt);
        ASSERT_EQ(given.numbers.size(), static_cast<size_t>(numbers));
        EXPECT_GE(given.numbers.front(), 1);
        EXPECT_LE(given.numbers.back(), level);
        EXPECT_GE(given.target, 1);
        EXPECT_LE(given.target, 100);
        const Score score = task.Grade(problem, problem.answer);
        EXPECT_TRUE(score.correct) << problem.prompt << " " << problem.answer;
        EXPECT_DOUBLE_EQ(score.reward, 1.0);
      }
    }
  }
}

TEST(Countdown, ThoughtsAreTrueAndEndWithTheSolution) {
  const Countdown task({.tries = 3});
  size_t most = 0, least = 100;
  for (uint64_t index = 0; index < 500; ++index) {
    const Problem problem = task.Make(2, 12, index, Split::kTrain);
    const std::string target = fmt::format("={}", ParsePrompt(problem.prompt).target);
    std::istringstream words(problem.answer.substr(7, problem.answer.find("</think>") - 7));
    std::string previous;
    std::set<std::string> tries;
    std::string current;
    bool solved = false;
    for (std::string word; words >> word;) {
      EXPECT_FALSE(solved);
      if (word == "no" || word == "yes") {
        solved = word == "yes";
        EXPECT_EQ(previous.substr(previous.find('=')) == target, solved) << problem.answer;
        EXPECT_TRUE(tries.insert(current).second) << "tried twice: " << problem.answer;
        current.clear();
        continue;
      }
      const size_t equals = word.find('=');
      EXPECT_EQ(std::to_string(EvaluateExpression(word.substr(0, equals)).value().value), word.substr(equals + 1));
      previous = word;
      current += word + " ";
    }
    EXPECT_TRUE(solved);
    most = std::max(most, tries.size());
    least = std::min(least, tries.size());
  }
  EXPECT_EQ(least, 1u);
  EXPECT_EQ(most, 4u);
}

TEST(Countdown, WithoutTriesOnlyTheSolutionIsShown) {
  const Countdown task({.tries = 0});
  for (uint64_t index = 0; index < 50; ++index) {
    EXPECT_EQ(task.Make(1, 9, index, Split::kTrain).answer.find(" no "), std::string::npos);
  }
}

TEST(Countdown, SplitsShareNoNumbers) {
  for (const int64_t numbers : {2, 3}) {
    const Countdown task({.numbers = numbers});
    for (const int64_t level : {6, 7, 9}) {
      std::set<std::vector<int64_t>> train, held_out;
      for (uint64_t index = 0; index < 3000; ++index) {
        train.insert(ParsePrompt(task.Make(1, level, index, Split::kTrain).prompt).numbers);
        held_out.insert(ParsePrompt(task.Make(2, level, index, Split::kHeldOut).prompt).numbers);
      }
      for (const auto& set : held_out) EXPECT_EQ(train.count(set), 0u);
      EXPECT_GE(held_out.size(), 2u);
    }
  }
}

TEST(Countdown, ProblemsArePureFunctions) {
  const Countdown task({});
  EXPECT_EQ(task.Make(1, 50, 5, Split::kTrain).answer, task.Make(1, 50, 5, Split::kTrain).answer);
  EXPECT_NE(task.Make(1, 50, 5, Split::kTrain).answer, task.Make(1, 50, 6, Split::kTrain).answer);
  EXPECT_NE(task.Make(1, 50, 5, Split::kTrain).answer, task.Make(2, 50, 5, Split::kTrain).answer);
}

class CountdownGrade : public testing::Test {
 protected:
  double Reward(const std::string& answer) {
    return task_.Grade(problem_, "<think>x</think><answer>" + answer + "</answer>").reward;
  }
  Countdown task_{{}};
  Problem problem_{.prompt = "3 5 2=16", .answer = "", .level = 9};
};

TEST_F(CountdownGrade, AnyRightExpression) {
  for (const char* answer : {"(3+5)*2", "2*(5+3)", " ( 3 + 5 ) * 2 ", "((3+5))*(2)", "3*2+5*2"}) {
    EXPECT_DOUBLE_EQ(Reward(answer), std::string(answer) == "3*2+5*2" ? 0.1 : 1.0) << answer;
  }
}

TEST_F(CountdownGrade, EachNumberExactlyOnce) {
  for (const char* answer : {"16", "8*2", "(3+5)*2*1", "(3+5)*2+2-2", "5*3+1", "5*3", "32/2", "", "(3+5)*2=16",
                             "(3+5)*2 or so", "(35)*2", "3+5*2", "(-3-5)*-2"}) {
    EXPECT_DOUBLE_EQ(Reward(answer), 0.1) << answer;
  }
}

TEST_F(CountdownGrade, HostileCompletions) {
  EXPECT_DOUBLE_EQ(task_.Grade(problem_, "").reward, 0.0);
  EXPECT_DOUBLE_EQ(task_.Grade(problem_, "(3+5)*2").reward, 0.0);
  EXPECT_DOUBLE_EQ(task_.Grade(problem_, "<answer>(3+5)*2</answer>").reward, 0.9);
  EXPECT_DOUBLE_EQ(Reward("5/(3-3)*2"), 0.1);
  EXPECT_DOUBLE_EQ(Reward("9223372036854775807*5*3*2"), 0.1);
  EXPECT_DOUBLE_EQ(Reward(std::string(1000000, '(') + "16" + std::string(1000000, ')')), 0.1);
  EXPECT_DOUBLE_EQ(Reward(std::string(10 << 20, '9')), 0.1);
  EXPECT_DOUBLE_EQ(Reward(std::string(10 << 20, ' ') + "(3+5)*2"), 1.0);
  EXPECT_DOUBLE_EQ(task_.Grade(problem_, std::string(10 << 20, '<')).reward, 0.0);
  std::string tags;
  while (tags.size() < (10 << 20)) tags += "<answer>(3+5)*2</answer>";
  EXPECT_DOUBLE_EQ(task_.Grade(problem_, tags).reward, 0.0);
}

TEST_F(CountdownGrade, ForeignPromptsAreRefused) {
  for (const char* prompt :
       {"", "3", "=", "3=", "3 5 2", "3 5 2=x", "3,5=8", "=8", "99999999999999999999=1", "3 5 2=16 "}) {
    problem_.prompt = prompt;
    EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { Reward("1"); }), "is no problem of this task") << prompt;
  }
}

TEST(Countdown, RefusesOptionsAndLevelsOutOfRange) {
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { Countdown({.numbers = 1}); }), "numbers is 1");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { Countdown({.numbers = 5}); }), "2 to 4");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { Countdown({.tries = -1}); }), "tries is -1");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { Countdown({.highest_target = 1}); }), "highest_target is 1");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { Countdown({}).Make(1, 5, 0, Split::kTrain); }), "6 to 99");
}

}  // namespace
}  // namespace sputnik
