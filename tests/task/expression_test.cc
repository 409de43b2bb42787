#include "task/expression.h"

#include <gtest/gtest.h>

#include <string>

namespace sputnik {
namespace {

TEST(Expression, Values) {
  const auto value = [](std::string_view text) { return EvaluateExpression(text).value().value; };
  EXPECT_EQ(value("7"), 7);
  EXPECT_EQ(value("007"), 7);
  EXPECT_EQ(value("1+2*3"), 7);
  EXPECT_EQ(value("(1+2)*3"), 9);
  EXPECT_EQ(value("10-2-3"), 5);
  EXPECT_EQ(value("24/2/3"), 4);
  EXPECT_EQ(value("2*9/3"), 6);
  EXPECT_EQ(value("2-5"), -3);
  EXPECT_EQ(value("(2-8)/3"), -2);
  EXPECT_EQ(value(" ( 1 + 2 ) * 3 "), 9);
  EXPECT_EQ(value("((((4))))"), 4);
  EXPECT_EQ(value("0/5"), 0);
  EXPECT_EQ(value("9223372036854775807"), INT64_MAX);
}

TEST(Expression, CollectsNumbersInOrder) {
  EXPECT_EQ(EvaluateExpression("(3+5)*2-3")->numbers, (std::vector<int64_t>{3, 5, 2, 3}));
}

TEST(Expression, IsNothingForOtherText) {
  for (const char* text :
       {"",     " ",   "+",   "1+", "*2",  "-1",    "+1",   "1--1", "1 2", "()",  "(1",           "1)",   "1+(2",
        "2(3)", "1=1", "1.5", "x",  "1+x", "1\n+1", "0x10", "2**3", "2^3", "1e3", "\xEF\xBC\x91", "1,000"}) {
    EXPECT_FALSE(EvaluateExpression(text)) << text;
  }
  EXPECT_FALSE(EvaluateExpression(std::string_view("1\0+1", 4)));
}

TEST(Expression, IsNothingForBadDivisionsAndOverflow) {
  for (const char* text : {"1/0", "0/0", "1/(2-2)", "7/2", "1/2*2", "9223372036854775808", "9223372036854775807+1",
                           "0-9223372036854775807-2", "4294967296*4294967296", "99999999999999999999",
                           "(0-9223372036854775807-1)/(0-1)", "(0-9223372036854775807-1)*(0-1)"}) {
    EXPECT_FALSE(EvaluateExpression(text)) << text;
  }
}

TEST(Expression, BoundsDepthAndLength) {
  const auto nested = [](int depth) {
    const auto count = static_cast<size_t>(depth);
    return std::string(count, '(') + "1" + std::string(count, ')');
  };
  EXPECT_EQ(EvaluateExpression(nested(kMaxExpressionDepth))->value, 1);
  EXPECT_FALSE(EvaluateExpression(nested(kMaxExpressionDepth + 1)));
  EXPECT_FALSE(EvaluateExpression(nested(1000000)));
  EXPECT_FALSE(EvaluateExpression(std::string(1000000, '(')));
  std::string sum = "1";
  while (sum.size() + 2 <= kMaxExpressionBytes) sum += "+1";
  EXPECT_EQ(EvaluateExpression(sum)->value, 128);
  EXPECT_FALSE(EvaluateExpression(sum + "+1"));
}

}  // namespace
}  // namespace sputnik
