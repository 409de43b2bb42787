#include "task/think_answer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(ThinkAnswer, TheExactForm) {
  const std::string text = WriteThinkAnswer("1+1", "2");
  EXPECT_EQ(text, "<think>1+1</think><answer>2</answer>");
  EXPECT_TRUE(ParseThinkAnswer(text).well_formed);
  EXPECT_EQ(ParseThinkAnswer(text).answer, "2");
  for (const char* free : {"1+1</think><answer>2</answer>", "\n<think>\n1+1\n</think>\n\n<answer> 2\n</answer> \n",
                           "<think></think><answer>2</answer>"}) {
    EXPECT_TRUE(ParseThinkAnswer(free).well_formed) << free;
    EXPECT_EQ(ParseThinkAnswer(free).answer, "2") << free;
  }
}

TEST(ThinkAnswer, AnswersInAnotherForm) {
  for (const char* text : {"<answer>2</answer>", "<think>x<answer>2</answer>", "<answer>2</answer></think>",
                           "<think>x</think>so<answer>2</answer>", "<think>x</think><answer>2</answer>!",
                           "<think>a</think><think>b</think><answer>2</answer>",
                           "<think><think>b</think><answer>2</answer>", "hm <think>b</think><answer>2</answer>"}) {
    EXPECT_FALSE(ParseThinkAnswer(text).well_formed) << text;
    EXPECT_EQ(ParseThinkAnswer(text).answer, "2") << text;
  }
}

TEST(ThinkAnswer, NoAnswer) {
  for (const char* text :
       {"", "2", "<think>x</think>2", "<think>x</think><answer>2", "<think>x</think>2</answer>", "</answer>2<answer>",
        "<answer>1</answer><answer>2</answer>", "<think>x</think><answer><answer>2</answer>"}) {
    EXPECT_FALSE(ParseThinkAnswer(text).answer) << text;
    EXPECT_FALSE(ParseThinkAnswer(text).well_formed) << text;
  }
}

TEST(ThinkAnswer, Scores) {
  EXPECT_DOUBLE_EQ(ThinkAnswerScore(true, true, 0.1).reward, 1.0);
  EXPECT_DOUBLE_EQ(ThinkAnswerScore(true, false, 0.1).reward, 0.9);
  EXPECT_DOUBLE_EQ(ThinkAnswerScore(false, true, 0.1).reward, 0.1);
  EXPECT_DOUBLE_EQ(ThinkAnswerScore(false, false, 0.1).reward, 0.0);
  const Score score = ThinkAnswerScore(true, false, 0.1);
  EXPECT_TRUE(score.correct);
  ASSERT_EQ(score.parts.size(), 2u);
  EXPECT_EQ(score.parts[0].name, "accuracy");
  EXPECT_EQ(score.parts[0].value, 1.0);
  EXPECT_EQ(score.parts[1].name, "format");
  EXPECT_EQ(score.parts[1].value, 0.0);
  for (const double weight : {-0.1, 1.0, 0.0 / 0.0}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { CheckFormatWeight(weight); }), "format_weight");
  }
}

}  // namespace
}  // namespace sputnik
