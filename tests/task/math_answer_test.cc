#include "task/math_answer.h"

#include <gtest/gtest.h>

#include <string>

namespace sputnik {
namespace {

TEST(MathAnswer, NumbersAreReadExactly) {
  const auto expect = [](std::string_view text, int64_t numerator, int64_t denominator) {
    const std::optional<Rational> value = ParseNumber(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->numerator, numerator) << text;
    EXPECT_EQ(value->denominator, denominator) << text;
  };
  expect("18", 18, 1);
  expect(" -3 ", -3, 1);
  expect("0018", 18, 1);
  expect("18.", 18, 1);
  expect("18.50", 37, 2);
  expect(".5", 1, 2);
  expect("-.25", -1, 4);
  expect("0", 0, 1);
  expect("0.0", 0, 1);
  expect("1,234", 1234, 1);
  expect("12,345,678.9", 123456789, 10);
  expect("$1,234.50", 2469, 2);
  expect("\\$5", 5, 1);
  expect("-$5", -5, 1);
  expect("$-5", -5, 1);
  expect("50%", 50, 1);
  expect("50\\%", 50, 1);
  expect("3/4", 3, 4);
  expect("-6/8", -3, 4);
  expect("6 / 8", 3, 4);
  expect("\\frac{3}{4}", 3, 4);
  expect("-\\dfrac{ 10 }{4}", -5, 2);
  expect("\\tfrac{1}{2}", 1, 2);
  expect("9223372036854775807", INT64_MAX, 1);
}

TEST(MathAnswer, OtherTextIsNoNumber) {
  for (const char* text : {"",
                           " ",
                           "-",
                           "$",
                           ".",
                           "%",
                           "x",
                           "1x",
                           "1 2",
                           "--1",
                           "1,23",
                           "1,2345",
                           ",123",
                           "1234,567",
                           "1,,234",
                           "12,34,567",
                           "1.2.3",
                           "1.5,000",
                           "1/0",
                           "1/",
                           "/2",
                           "1/2/3",
                           "\\frac{1}{0}",
                           "\\frac{1}",
                           "\\frac12",
                           "{1}{2}",
                           "9223372036854775808",
                           "1e5",
                           "0x10",
                           "1/2x"}) {
    EXPECT_FALSE(ParseNumber(text)) << text;
  }
  EXPECT_FALSE(ParseNumber(std::string(1000000, '1')));
  EXPECT_FALSE(ParseNumber("0." + std::string(30, '3')));
}

TEST(MathAnswer, ExtractsByPriority) {
  EXPECT_EQ(ExtractAnswer("1 \\boxed{2} <answer>3</answer> 4"), "2");
  EXPECT_EQ(ExtractAnswer("\\boxed{1} and \\boxed{ \\frac{3}{4} } 9"), "\\frac{3}{4}");
  EXPECT_EQ(ExtractAnswer("1 <answer> 3 </answer> #### 4"), "3");
  EXPECT_EQ(ExtractAnswer("It is 3.\n#### 18"), "18");
  EXPECT_EQ(ExtractAnswer("first 5, then 7 apples."), "7");
  EXPECT_EQ(ExtractAnswer("costs $1,234.50."), "1,234.50");
  EXPECT_EQ(ExtractAnswer("x = -12"), "-12");
  EXPECT_EQ(ExtractAnswer("5-3"), "3");
  EXPECT_EQ(ExtractAnswer("gives 3/4 of it"), "3/4");
  EXPECT_EQ(ExtractAnswer("about .5 of it"), ".5");
  EXPECT_EQ(ExtractAnswer("on 12/25/2023"), "2023");
  EXPECT_EQ(ExtractAnswer("either 1,2"), "2");
  EXPECT_EQ(ExtractAnswer("7"), "7");
  EXPECT_EQ(ExtractAnswer("no number"), std::nullopt);
  EXPECT_EQ(ExtractAnswer(""), std::nullopt);
  EXPECT_EQ(ExtractAnswer("\\boxed{3"), "3");
  EXPECT_EQ(ExtractAnswer("<think>it may be 5 \\boxed{6}</think>so 7"), "7");
  EXPECT_EQ(ExtractAnswer("<think>5</think>"), std::nullopt);
}

TEST(MathAnswer, EqualNumbersAreEqualAnswers) {
  EXPECT_TRUE(SameAnswer("18", "18.0"));
  EXPECT_TRUE(SameAnswer("1/2", "0.50"));
  EXPECT_TRUE(SameAnswer("$1,000", "1000"));
  EXPECT_TRUE(SameAnswer("yes.", " yes "));
  EXPECT_TRUE(SameAnswer("a  b", "a\nb"));
  EXPECT_FALSE(SameAnswer("18", "-18"));
  EXPECT_FALSE(SameAnswer("1/3", "0.333333"));
  EXPECT_FALSE(SameAnswer("18", "18 apples"));
  EXPECT_FALSE(SameAnswer("yes", "no"));
  const std::string long_number(60, '7');
  EXPECT_TRUE(SameAnswer(long_number, long_number));
  EXPECT_FALSE(SameAnswer(long_number, long_number + "7"));
}

TEST(MathAnswer, Grades) {
  const auto correct = [](std::string_view completion, std::string_view reference) {
    return GradeMathAnswer(completion, reference).correct;
  };
  const std::string reference = "She earns 9 * 2 = $<<9*2=18>>18.\n#### 18";
  EXPECT_TRUE(correct("so she makes $18 a day", reference));
  EXPECT_TRUE(correct("<think>17?</think>\\boxed{18.00}", reference));
  EXPECT_FALSE(correct("so 18, or perhaps 19", reference));
  EXPECT_FALSE(correct("", reference));
  EXPECT_FALSE(correct("<think>18", "17"));
  EXPECT_TRUE(correct("<think>hm</think> Paris.", "Paris"));
  EXPECT_TRUE(correct("The capital is <answer>Paris</answer>", "Paris"));
  EXPECT_FALSE(correct("London", "Paris"));
  EXPECT_FALSE(correct("<answer></answer>", "Paris"));
  EXPECT_EQ(GradeMathAnswer("18", reference).reward, 1.0);
}

TEST(MathAnswer, HugeCompletionsAreReadOnce) {
  constexpr size_t kHuge = 10 << 20;
  EXPECT_FALSE(GradeMathAnswer(std::string(kHuge, '1'), "1").correct);
  EXPECT_FALSE(GradeMathAnswer("\\boxed{" + std::string(kHuge, '{'), "1").correct);
  EXPECT_TRUE(GradeMathAnswer(std::string(kHuge, '(') + " 5", "5").correct);
  std::string commas;
  while (commas.size() < kHuge) commas += "1,";
  EXPECT_TRUE(GradeMathAnswer(commas, "1").correct);
  std::string boxes;
  while (boxes.size() < kHuge) boxes += "\\boxed{";
  EXPECT_FALSE(GradeMathAnswer(boxes, "1").correct);
}

}  // namespace
}  // namespace sputnik
