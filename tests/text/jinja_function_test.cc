#include "text/jinja_function.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaFunction, NothingThatChangesOrLooksInsideIsThere) {
  for (const char* call : {"l.append(1)", "l.pop()", "l.sort()", "d.update({})", "d.pop('a')", "d.clear()",
                           "s.__class__()", "d.__init__()", "d.setdefault('a', 1)", "range.__call__()"}) {
    const std::string source = "{{ " + std::string(call) + " }}";
    EXPECT_NE(RenderError(source, R"({"l": [1], "d": {"a": 1, "pop": 2}, "s": ""})").find("undefined or not open"),
              std::string::npos)
        << source << RenderError(source, R"({"l": [1], "d": {"a": 1, "pop": 2}, "s": ""})");
  }
  EXPECT_NE(RenderError("{{ namespace(_a=1) }}").find("closed"), std::string::npos);
  EXPECT_NE(RenderError("{% set n = namespace() %}{% set n._a = 1 %}").find("closed"), std::string::npos);
}

TEST(JinjaFunction, ADotPrefersMethodsAndBracketsEntries) {
  EXPECT_EQ(Render("{{ d['items'] }} {{ d.items() | list }} {{ d.other }}", R"({"d": {"items": 5, "other": 6}})"),
            "5 [('items', 5), ('other', 6)] 6");
}

TEST(JinjaFunction, RangesAreBounded) {
  EXPECT_EQ(RenderError("{{ range(100001) | length }}"), "line 1: a range of more than 100000 numbers");
  EXPECT_EQ(RenderError("{{ range(0, 9223372036854775807, 1) }}"), "line 1: a range of more than 100000 numbers");
  EXPECT_EQ(Render("{{ range(9223372036854775806, 9223372036854775807, 5) | list }}"), "[9223372036854775806]");
}

TEST(JinjaFunction, RaisedExceptionsAreSaid) {
  EXPECT_EQ(RenderError("\n{{ raise_exception('no ' ~ 1) }}"), "line 2: no 1");
}

TEST(JinjaFunction, TimesAreOfTheGivenMoment) {
  EXPECT_EQ(Render("{{ strftime_now('%Y%%') }}").size(), 5u);
  EXPECT_NE(RenderError("{{ strftime_now('%Q') }}").find("not supported"), std::string::npos);
  EXPECT_EQ(Render("{{ strftime_now('%z%f|') }}"), "000000|");
}

}  // namespace
}  // namespace sputnik::jinja
