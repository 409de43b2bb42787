#include "task/task.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

class Echo : public Task {
 public:
  std::string name() const override { return "echo"; }
  LevelRange levels() const override { return {2, 5}; }
  Problem Make(uint64_t, int64_t level, uint64_t index, Split) const override {
    CheckLevel(*this, level);
    return {.prompt = std::to_string(index), .answer = "a", .level = level};
  }
  Score Grade(const Problem& problem, std::string_view completion) const override {
    return AccuracyScore(completion == problem.answer);
  }
};

TEST(Task, ConversationsArePromptAndAnswer) {
  const Echo task;
  const Problem problem = task.Make(1, 2, 3, Split::kTrain);
  const std::vector<Message> asked = task.Conversation(problem, false), answered = task.Conversation(problem, true);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].role, "user");
  EXPECT_EQ(asked[0].content, "3");
  ASSERT_EQ(answered.size(), 2u);
  EXPECT_EQ(answered[1].role, "assistant");
  EXPECT_EQ(answered[1].content, "a");
}

TEST(Task, LevelsOutOfRangeAreNamed) {
  const Echo task;
  for (const int64_t level : {int64_t{1}, int64_t{6}, int64_t{-1}}) {
    const std::string message = ExpectError(ExitCode::kUsage, [&] { task.Make(1, level, 0, Split::kTrain); });
    EXPECT_MENTIONS(message, "task echo: no level " + std::to_string(level));
    EXPECT_MENTIONS(message, "2 to 5");
  }
}

TEST(Task, AboutATenthIsHeldOut) {
  int held_out = 0;
  for (uint64_t hash = 0; hash < 10000; ++hash) held_out += SplitOf(hash * 0x9e3779b97f4a7c15) == Split::kHeldOut;
  EXPECT_NEAR(held_out, 1000, 120);
}

TEST(Task, Trim) {
  EXPECT_EQ(Trim(" \t\r\na b\n "), "a b");
  EXPECT_EQ(Trim("a"), "a");
  EXPECT_EQ(Trim(" \n "), "");
  EXPECT_EQ(Trim(""), "");
}

TEST(Task, AccuracyScores) {
  EXPECT_EQ(AccuracyScore(true).reward, 1.0);
  EXPECT_TRUE(AccuracyScore(true).correct);
  EXPECT_EQ(AccuracyScore(false).reward, 0.0);
  EXPECT_EQ(AccuracyScore(false).parts[0].name, "accuracy");
}

}  // namespace
}  // namespace sputnik
