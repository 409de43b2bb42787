#include "text/jinja_predicate.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaPredicate, TellsTypesApart) {
  EXPECT_EQ(
      Render("{% for t in ['a', [], {}, none, d.items()] %}{{ t is mapping }} {{ t is sequence }} {{ t is iterable }},"
             "{% endfor %}",
             R"({"d": {}})"),
      "False True True,False True True,True True True,False False False,False False True,");
  EXPECT_EQ(Render("{{ 1 is integer }}{{ true is integer }}{{ true is number }}{{ nope is sequence }}"),
            "TrueFalseTrueTrue");
}

TEST(JinjaPredicate, UnknownOnesAndWrongArgumentsAreNamed) {
  EXPECT_EQ(RenderError("{{ 1 is nice }}"), "line 1: the test nice is not supported in chat templates here");
  EXPECT_EQ(RenderError("{{ 1 is divisibleby }}"), "line 1: divisibleby needs the argument num");
  EXPECT_EQ(RenderError("{{ 1 is defined(2) }}"), "line 1: defined takes at most 0 arguments, not 1");
}

}  // namespace
}  // namespace sputnik::jinja
