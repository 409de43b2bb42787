#include "base/check.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(CheckDeathTest, PrintsPlaceAndExpression) {
  EXPECT_DEATH(CHECK(1 > 2), "check_test.cc:[0-9]+: CHECK failed: 1 > 2");
}

TEST(CheckDeathTest, PrintsBothSides) {
  const int rows = 3;
  EXPECT_DEATH(CHECK_EQ(rows, 4), "rows == 4 \\(3 vs 4\\)");
  EXPECT_DEATH(CHECK_NE(rows, 3), "rows != 3 \\(3 vs 3\\)");
  EXPECT_DEATH(CHECK_LT(rows, 3), "rows < 3");
  EXPECT_DEATH(CHECK_LE(rows, 2), "rows <= 2");
  EXPECT_DEATH(CHECK_GT(rows, 3), "rows > 3");
  EXPECT_DEATH(CHECK_GE(rows, 4), "rows >= 4");
}

TEST(Check, PassesQuietlyAndEvaluatesOnce) {
  int calls = 0;
  const auto next = [&] { return ++calls; };
  CHECK_EQ(next(), 1);
  CHECK(next() == 2);
  EXPECT_EQ(calls, 2);
  if (calls == 2)
    CHECK(true);
  else
    FAIL() << "CHECK swallowed the else";
}

}  // namespace
}  // namespace sputnik
