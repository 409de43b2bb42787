#include "text/jinja_parser.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaParser, NamesWhatIsWrongWithItsLine) {
  EXPECT_EQ(RenderError("a\n{% if x %}\nb"), "line 3: the template ends without endif");
  EXPECT_EQ(RenderError("\n{% include 'x' %}"),
            "line 2: the tag {% include %} is not supported in chat templates here");
  EXPECT_EQ(RenderError("{% endfor %}"), "line 1: the tag {% endfor %} is not supported in chat templates here");
  EXPECT_EQ(RenderError("{% for x in y recursive %}{% endfor %}"),
            "line 1: recursive loops are not supported in chat templates here");
  EXPECT_EQ(RenderError("{% break %}"), "line 1: break outside a loop");
  EXPECT_EQ(RenderError("{% for x in y %}{% macro f() %}{% continue %}{% endmacro %}{% endfor %}"),
            "line 1: continue outside a loop");
  EXPECT_EQ(RenderError("{% set true = 1 %}"), "line 1: true cannot be set");
  EXPECT_EQ(RenderError("{% macro f(a=1, b) %}{% endmacro %}"), "line 1: a parameter without a default after one with");
}

TEST(JinjaParser, DeepBlocksAreRefused) {
  std::string deep, chain = "{% if 0 %}";
  for (int i = 0; i < 9999; ++i) deep += "{% if 1 %}";
  for (int i = 0; i < 9999; ++i) chain += "{% elif 0 %}";
  EXPECT_NE(RenderError(deep).find("nested deeper"), std::string::npos);
  EXPECT_NE(RenderError(chain + "{% endif %}").find("elif"), std::string::npos);
}

TEST(JinjaParser, AHundredBranchesAreFine) {
  std::string chain = "{% if n == -1 %}";
  for (int i = 0; i < 100; ++i) chain += "{% elif n == " + std::to_string(i) + " %}" + std::to_string(i);
  EXPECT_EQ(Render(chain + "{% else %}none{% endif %}", R"({"n": 99})"), "99");
}

}  // namespace
}  // namespace sputnik::jinja
