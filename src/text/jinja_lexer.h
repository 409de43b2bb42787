// A chat template as tokens, with the white space taken away as transformers sets jinja2 up: a line's indentation
// before a block tag goes, so does the newline after one, and a single newline at the very end; '-' and '+' decide
// otherwise.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sputnik::jinja {

struct Token {
  enum class Type : uint8_t {
    kData,
    kPrintBegin,
    kPrintEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kText,
    kInt,
    kFloat,
    kOperator,
    kEnd
  };
  Type type = Type::kEnd;
  int line = 1;
  std::string text;  // of data and texts (escapes resolved), names and operators
  int64_t integer = 0;
  double number = 0;

  bool Is(std::string_view op) const { return type == Type::kOperator && text == op; }
  bool IsName(std::string_view name) const { return type == Type::kName && text == name; }
};

// Ends with a kEnd. Throws Error (bad input) that starts with "line N: ".
std::vector<Token> Tokenize(std::string_view source);

// Where a parser stands in them.
class TokenStream {
 public:
  using Names = std::initializer_list<std::string_view>;

  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void Pass() { at_ = std::min(at_ + 1, tokens_.size() - 1); }
  bool Sees(Names names) const;    // one of these names is next
  bool Take(std::string_view op);  // an operator, if it is next
  bool TakeName(std::string_view name);
  void Expect(std::string_view op);  // these throw when something else is next
  void Expect(Token::Type type, std::string_view what);
  void ExpectName(std::string_view name);
  std::string Name();
  std::string Seen() const;  // what is next, for messages

  template <class... Args>
  [[noreturn]] void Fail(fmt::format_string<Args...> format, Args&&... args) const {
    ThrowBadInput("line {}: {}", now().line, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace sputnik::jinja
