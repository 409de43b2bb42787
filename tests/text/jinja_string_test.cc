#include "text/jinja_string.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaString, PositionsAreInCharacters) {
  EXPECT_EQ(
      Render("{{ s.find('a') }} {{ s.rfind('a') }} {{ s.find('a', 3) }} {{ s.find('', 9) }} {{ s.count('a', -2) }}",
             R"({"s": "灯a台a"})"),
      "1 3 3 -1 1");
  EXPECT_EQ(Render("{{ s.startswith('台', 2) }} {{ s.endswith(('x', 'a')) }}", R"({"s": "灯a台a"})"), "True True");
}

TEST(JinjaString, ResultsKeepTheirMarks) {
  EXPECT_EQ(Marks(RenderText("{{ '-'.join([s, 'x']) }} {{ s.strip() }}{{ s.split('b')[1] }}", R"({"s": " abc"})")),
            "ssss"
            "tt"
            "t"
            "sss"
            "s");
  EXPECT_EQ(Marks(RenderText("{{ '{}<{}>'.format(s, 1) }}{{ s.center(4) }}", R"({"s": "ab"})")), "ssttttsst");
}

TEST(JinjaString, SizesAreCheckedBeforeTheyAreTaken) {
  for (const char* source :
       {"{{ 'a'.center(9223372036854775807) }}", "{{ 'a'.zfill(99999999999) }}", "{{ 'a'.ljust(999999999) }}",
        "{% set x = 'a' * 1000000 %}{{ x.replace('', x) }}", "{% set x = 'a' * 1000000 %}{{ x.join(x) }}"}) {
    EXPECT_NE(RenderError(source).find("than a template may"), std::string::npos) << source << RenderError(source);
  }
}

TEST(JinjaString, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(RenderError("{{ 'x'.encode() }}"), "line 1: the method encode is not supported in chat templates here");
  EXPECT_EQ(RenderError("{{ '{:>5}'.format('a') }}"), "line 1: format: {:>5} is not supported in chat templates here");
  EXPECT_EQ(RenderError("{{ 'x'.nothing() }}"),
            "line 1: nothing is undefined or not open to templates, and cannot be called");
}

}  // namespace
}  // namespace sputnik::jinja
