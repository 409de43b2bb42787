#include "text/jinja_eval.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/support/render_template.h"
#include "text/chat_template.h"

namespace sputnik::jinja {
namespace {

// Each piece of the language as jinja2 printed it in transformers' sandbox, or null where that failed
// (tools/template_oracle.py).
TEST(JinjaEval, PrintsWhatJinja2Prints) {
  const Json golden = ReadJsonFile(SPUTNIK_SOURCE_DIR "/tests/golden/template/language.json");
  ASSERT_EQ(golden["pieces"].size(), golden["results"].size());
  ASSERT_GT(golden["pieces"].size(), 600u);
  ChatRequest request{.messages = golden["messages"],
                      .variables = golden["variables"],
                      .add_generation_prompt = true,
                      .now = 1764072000};
  for (size_t i = 0; i < golden["pieces"].size(); ++i) {
    const std::string piece = golden["pieces"][i];
    const ChatTemplate chat_template = ChatTemplate::FromText(piece, golden["config"].get<std::string>(), "piece");
    Json result;
    try {
      result = chat_template.Render(request).bytes;
    } catch (const Error&) {
    }
    EXPECT_EQ(result, golden["results"][i]) << piece;
  }
}

TEST(JinjaEval, ErrorsNameTheLineWhereItHappened) {
  EXPECT_EQ(RenderError("a\n{% for x in [1, 0] %}\n{{ 1 / x }}\n{% endfor %}"), "line 3: division by zero");
  EXPECT_EQ(RenderError("{% macro f(a) %}\n{{ a.b.c }}\n{% endmacro %}\n\n{{ f({}) }}"),
            "line 2: b is undefined, so it has no c");
}

TEST(JinjaEval, WhatIsPrintedRemembersWhereItCameFrom) {
  EXPECT_EQ(Marks(RenderText("a{{ s }}{% generation %}b{{ s }}{% endgeneration %}c", R"({"s": "x"})")), "tsgGt");
  EXPECT_EQ(Marks(RenderText("{% macro f(a) %}<{{ a }}>{% endmacro %}{{ f(s) | upper }}", R"({"s": "x"})")), "tst");
  EXPECT_EQ(Marks(RenderText("{% set b %}<{{ s }}{% endset %}{{ b ~ '>' }}", R"({"s": "x"})")), "tst");
  EXPECT_EQ(Marks(RenderText(
                "{% set n = namespace(t='') %}{% for c in s %}{% set n.t = n.t + c + '.' %}{% endfor %}{{ n.t }}",
                R"({"s": "xy"})")),
            "stst");
}

TEST(JinjaEval, WorkMemoryDepthAndOutputAreBounded) {
  const std::string slow = "longer than a template may", large = "more memory", prints = "prints more",
                    deep = "nested deeper";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% "
       "endfor %}",
       slow},
      {"{% for a in range(100000) %}{% for b in range(100) %}{{ '' }}{% endfor %}{% endfor %}", slow},
      {"{% for a in range(100000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}", prints},
      {"{{ 'a' * 1048577 }}", prints},
      {"{% set n = namespace(x='a') %}{% for a in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}", large},
      {"{% set n = namespace(x=[1]) %}{% for a in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}", large},
      {"{% set n = namespace(x='a') %}{% for a in range(100) %}{% set n.x = n.x ~ n.x %}{% endfor %}", large},
      {"{% set n = namespace(x='a') %}{% for a in range(100) %}{% set n.x = [n.x, n.x] | string %}{% endfor %}", large},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", deep},
      {"{% macro f(n) %}{{ f(n) ~ f(n) }}{% endmacro %}{{ f(1) }}", deep},
      {"{% set n = namespace(x=[]) %}{% for a in range(1000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}", deep},
      {"{% set n = namespace(x=[]) %}{% for a in range(1000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x | tojson }}",
       deep},
      {"{% set l = range(30000) | list %}{% for a in l %}{{ '' if a in l }}{% endfor %}", slow},
      {"{% set l = range(100000) | map('string') | list %}{{ l | unique | list | length }}", slow}};
  for (const auto& [source, says] : cases) {
    const std::string error = RenderError(source);
    EXPECT_NE(error.find(says), std::string::npos) << source << "\n" << error.substr(0, 300);
  }
  EXPECT_EQ(Render("{{ 'a' * 1048576 }}").size(), size_t{1} << 20);
}

TEST(JinjaEval, ANamespaceInsideItselfIsNoTrap) {
  EXPECT_NE(RenderError("{% set n = namespace() %}{% set n.x = [n] %}{{ n.x }}").find("cannot be printed"),
            std::string::npos);
  EXPECT_EQ(Render("{% set n = namespace() %}{% set n.x = [n] %}{{ n.x == n.x }}"), "True");
}

}  // namespace
}  // namespace sputnik::jinja
