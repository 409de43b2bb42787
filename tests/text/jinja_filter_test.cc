#include "text/jinja_filter.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaFilter, ResultsKeepTheirMarks) {
  EXPECT_EQ(Marks(RenderText("{{ s | trim }}{{ s | upper }}{{ s | replace('a', '+') }}", R"({"s": "ab "})")),
            "ss"
            "sss"
            "tss");
  EXPECT_EQ(Marks(RenderText("{{ [s, 'x'] | join('-') }}{{ s | indent(2, true) }}", R"({"s": "a"})")),
            "stt"
            "tts");
  EXPECT_EQ(
      Marks(RenderText("{{ s | default('x') }}{{ s | e }}{{ s | title }}{{ s | list | first }}", R"({"s": "<"})")),
      "s"
      "ssss"
      "s"
      "s");
}

TEST(JinjaFilter, PathsGoThroughListsAndDicts) {
  EXPECT_EQ(
      Render("{{ l | map(attribute='a.1.b') | join(',') }}", R"({"l": [{"a": [0, {"b": 7}]}, {"a": [0, {"b": 8}]}]})"),
      "7,8");
}

TEST(JinjaFilter, SortingIsStableBothWays) {
  EXPECT_EQ(Render("{{ l | sort(attribute='k') | map(attribute='v') | join }} "
                   "{{ l | sort(attribute='k', reverse=true) | map(attribute='v') | join }}",
                   R"({"l": [{"k": "b", "v": 1}, {"k": "A", "v": 2}, {"k": "B", "v": 3}, {"k": "a", "v": 4}]})"),
            "2413 1324");
}

TEST(JinjaFilter, UnknownOnesAndWrongArgumentsAreNamed) {
  EXPECT_EQ(RenderError("{{ 1 | nice }}"), "line 1: the filter nice is not supported in chat templates here");
  EXPECT_EQ(RenderError("{{ [1] | map('nice') | list }}"),
            "line 1: the filter nice is not supported in chat templates here");
  EXPECT_EQ(RenderError("{{ nope | tojson }}"), "line 1: tojson: JSON cannot say a value of type undefined");
  EXPECT_EQ(RenderError("{{ 'a\\nb' | indent(99999999999) }}"), "line 1: an indent above 1000");
  EXPECT_EQ(RenderError("{{ [1] | tojson(indent=99999999999) }}"), "line 1: tojson: an indent above 64");
  EXPECT_EQ(Render("{% if 0 %}{{ 1 | nice }}{% endif %}ok"), "ok");
}

}  // namespace
}  // namespace sputnik::jinja
