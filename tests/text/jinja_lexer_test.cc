#include "text/jinja_lexer.h"

#include <gtest/gtest.h>

namespace sputnik::jinja {
namespace {

// Data in quotes, everything else as it is.
std::string Show(std::string_view source) {
  std::string shown;
  for (const Token& token : Tokenize(source)) {
    switch (token.type) {
      case Token::Type::kData: shown += "'" + token.text + "'"; break;
      case Token::Type::kPrintBegin: shown += "{{"; break;
      case Token::Type::kPrintEnd: shown += "}}"; break;
      case Token::Type::kBlockBegin: shown += "{%"; break;
      case Token::Type::kBlockEnd: shown += "%}"; break;
      case Token::Type::kEnd: break;
      default: shown += " " + token.text;
    }
  }
  return shown;
}

TEST(JinjaLexer, TakesWhiteSpaceAwayAroundBlocks) {
  EXPECT_EQ(Show("a\n  {% x %}\n  b\n"), "'a\n'{% x%}'  b'");
  EXPECT_EQ(Show("a\n  {%+ x +%}\n  b\n\n"), "'a\n  '{% x%}'\n  b\n'");
  EXPECT_EQ(Show("a \n {%- x -%} \n b"), "'a'{% x%}'b'");
  EXPECT_EQ(Show("a  {% x %}b"), "'a  '{% x%}'b'");
  EXPECT_EQ(Show("  {{ x }}\n"), "'  '{{ x}}");
  EXPECT_EQ(Show(" a {#- no -#} b"), "' a''b'");
  EXPECT_EQ(Show("{% raw -%} {{ x }} {%- endraw %}\nb"), "'{{ x }}''b'");
  EXPECT_EQ(Show("a\r\nb\rc"), "'a\nb\nc'");
}

TEST(JinjaLexer, ClosingsDoNotCountInsideBrackets) { EXPECT_EQ(Show("{{ {'a': {}}}}"), "{{ { a : { } }}}"); }

TEST(JinjaLexer, ReadsNumbersAndEscapes) {
  const std::vector<Token> tokens = Tokenize("{{ 0x1F 1_000 2.5e3 'a\\u00e9\\x41\\101\\q\\\nz' }}");
  EXPECT_EQ(tokens[1].integer, 31);
  EXPECT_EQ(tokens[2].integer, 1000);
  EXPECT_EQ(tokens[3].number, 2500);
  EXPECT_EQ(tokens[4].text, "aéAA\\qz");
}

TEST(JinjaLexer, ErrorsNameTheLine) {
  const auto error = [](std::string_view source) -> std::string {
    try {
      Tokenize(source);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(error("a\n\n{{ $ }}"), "line 3: $ does not belong in a template's expression");
  EXPECT_EQ(error("{{ ) }}"), "line 1: a ) too many");
  EXPECT_EQ(error("\n{# x"), "line 2: a comment is not closed with #}");
  EXPECT_EQ(error("{{ 'x }}"), "line 1: a text is not closed with '");
  EXPECT_EQ(error("{{ x"), "line 1: a tag is not closed with }}");
  EXPECT_EQ(error("{% raw %}x"), "line 1: raw is not closed with {% endraw %}");
  EXPECT_EQ(error("{{ 99999999999999999999 }}"), "line 1: 99999999999999999999 is no number");
}

}  // namespace
}  // namespace sputnik::jinja
