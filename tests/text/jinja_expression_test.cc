#include "text/jinja_expression.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaExpression, BindsAsJinjaDoes) {
  EXPECT_EQ(Render("{{ 2 * 3 ~ 4 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ -3 | abs }}"), "64 4 64 3");
  EXPECT_EQ(Render("{{ not 1 == 2 }} {{ 1 < 2 == true }} {{ 1 or 0 and 0 }}"), "True False 1");
  EXPECT_EQ(Render("{{ 'a' if 0 else 'b' if 0 else 'c' }} {{ 1 is odd and 2 is even }}"), "c True");
}

TEST(JinjaExpression, NamesWhatIsWrongWithItsLine) {
  EXPECT_EQ(RenderError("\n{{ 1 + }}"), "line 2: expected a value, not }}");
  EXPECT_EQ(RenderError("{{ a b }}"), "line 1: expected }}, not \"b\"");
  EXPECT_EQ(RenderError("{{ [1 2] }}"), "line 1: expected \",\", not \"2\"");
  EXPECT_EQ(RenderError("{{ f(a=1, 2) }}"), "line 1: an argument without a name after one with");
  EXPECT_EQ(RenderError("{{ 1 is odd is even }}"), "line 1: tests cannot be chained with is");
}

TEST(JinjaExpression, DeepOnesAreRefused) {
  const auto repeat = [](std::string_view text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  for (const std::string& source :
       {"{{ " + repeat("(", 9999) + repeat(")", 9999) + " }}", "{{ " + repeat("[", 9999) + repeat("]", 9999) + " }}",
        "{{ " + repeat("not ", 9999) + "1 }}", "{{ " + repeat("- ", 9999) + "1 }}", "{{ 1" + repeat("+1", 9999) + " }}",
        "{{ 1" + repeat("|abs", 9999) + " }}", "{{ a" + repeat(".b", 9999) + " }}",
        "{{ a" + repeat(" if b else c", 9999) + " }}", "{{ a" + repeat(" or b", 9999) + " }}"}) {
    EXPECT_NE(RenderError(source).find("nested deeper"), std::string::npos)
        << source.substr(0, 20) << RenderError(source).substr(0, 200);
  }
}

}  // namespace
}  // namespace sputnik::jinja
