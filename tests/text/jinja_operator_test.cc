#include "text/jinja_operator.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaOperator, WholeNumbersStopAt64Bits) {
  for (const char* source : {"{{ 9223372036854775807 + 1 }}", "{{ 2 ** 63 }}", "{{ 3037000500 * 3037000500 }}",
                             "{{ -9223372036854775807 - 2 }}", "{{ -(-9223372036854775807 - 1) }}",
                             "{{ (-9223372036854775807 - 1) // -1 }}", "{{ 3 ** 9223372036854775807 }}"}) {
    EXPECT_EQ(RenderError(source), "line 1: a whole number beyond 64 bits") << source;
  }
  EXPECT_EQ(Render("{{ 2 ** 62 }} {{ (-9223372036854775807 - 1) % -1 }}"), "4611686018427387904 0");
}

TEST(JinjaOperator, RepetitionsAreBounded) {
  for (const char* source : {"{{ 'a' * 1000000000 }}", "{{ [1] * 9223372036854775807 }}",
                             "{{ ('a' * 1000000) * 1000000 }}", "{{ '%999999d' % 1 }}", "{{ '%.999999f' % 1.5 }}"}) {
    EXPECT_EQ(RenderError(source).substr(0, 8), "line 1: ") << source;
  }
  EXPECT_EQ(Render("{{ ('' * 9223372036854775807) ~ 'x' }}"), "x");
}

TEST(JinjaOperator, SlicesAreClippedAndKeepTheirMarks) {
  EXPECT_EQ(
      Render("{{ s[-100:2] }} {{ s[::-9223372036854775807] }} {{ s[9223372036854775807:] }}|", R"({"s": "灯台abc"})"),
      "灯台 c |");
  EXPECT_EQ(Marks(RenderText("{{ ('x' ~ s)[0:2] }}", R"({"s": "yz"})")), "ts");
  EXPECT_EQ(Marks(RenderText("{{ 'x%sx' % s }}{{ s + 'x' }}", R"({"s": "y"})")), "tstst");
}

TEST(JinjaOperator, SaysWhatDoesNotGoTogether) {
  EXPECT_EQ(RenderError("{{ 'a' + 1 }}"), "line 1: + does not work on str and int");
  EXPECT_EQ(RenderError("{{ a.b + 'x' }}", R"({"a": {}})"), "line 1: b is undefined, and + cannot use it");
  EXPECT_EQ(RenderError("{{ 1 % 0 }}"), "line 1: division by zero");
}

}  // namespace
}  // namespace sputnik::jinja
