#include "text/jinja_number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sputnik::jinja {
namespace {

TEST(JinjaNumber, FloatsPrintAsPythonPrintsThem) {
  const std::vector<std::pair<double, std::string>> cases{{1, "1.0"},
                                                          {0.1, "0.1"},
                                                          {1e15, "1000000000000000.0"},
                                                          {1e16, "1e+16"},
                                                          {0.0001, "0.0001"},
                                                          {1e-5, "1e-05"},
                                                          {-0.0, "-0.0"},
                                                          {5e-324, "5e-324"},
                                                          {1.0 / 3, "0.3333333333333333"},
                                                          {123456789.125, "123456789.125"},
                                                          {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                          {std::numeric_limits<double>::infinity(), "inf"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(FloatText(value), text);
  EXPECT_EQ(FloatText(std::nan("")), "nan");
}

TEST(JinjaNumber, ReadsWhatPythonReads) {
  EXPECT_EQ(ParseInt(Text(" +42\n"), 10), 42);
  EXPECT_EQ(ParseInt(Text("1_000"), 10), 1000);
  EXPECT_EQ(ParseInt(Text("0xFF"), 16), 255);
  for (const char* text : {"", "1__0", "_1", "4.0", "x", "+-1", "1 2"})
    EXPECT_EQ(ParseInt(Text(text), 10), std::nullopt) << text;
  EXPECT_EQ(ParseFloat(Text(" 1.5e3 ")), 1500.0);
  EXPECT_EQ(ParseFloat(Text("1e999")), std::numeric_limits<double>::infinity());
  for (const char* text : {"", "0x10", "1,5", "nan(1)"}) EXPECT_EQ(ParseFloat(Text(text)), std::nullopt) << text;
}

TEST(JinjaNumber, RoundsTheExactValue) {
  EXPECT_EQ(RoundFloat(2.675, 2), 2.67);  // which is a little less than it says
  EXPECT_EQ(RoundFloat(2.5, 0), 2.0);
  EXPECT_EQ(RoundFloat(-3.5, 0), -4.0);
}

}  // namespace
}  // namespace sputnik::jinja
