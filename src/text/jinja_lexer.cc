#include "text/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "text/jinja_text.h"
#include "text/unicode.h"

namespace sputnik::jinja {
namespace {

using Type = Token::Type;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameChar(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IsDigit(c); }

// Bytes of white space that `text` starts with.
size_t LeadingSpace(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = DecodeUtf8(text.substr(at));
    if (!IsSpace(c.code_point)) break;
    at += static_cast<size_t>(c.length);
  }
  return at;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) {
    source_.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
      const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
      if (!pair) source_ += source[i] == '\r' ? '\n' : source[i];
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> Run() {
    while (at_ < source_.size()) Data();
    Add(Type::kEnd);
    return std::move(tokens_);
  }

 private:
  template <class... Args>
  [[noreturn]] void Fail(fmt::format_string<Args...> format, Args&&... args) const {
    ThrowBadInput("line {}: {}", line_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool Sees(std::string_view text) const { return rest().starts_with(text); }

  Token& Add(Type type, std::string_view text = {}) {
    tokens_.push_back({type, line_, std::string(text), 0, 0});
    return tokens_.back();
  }
  // Moves on by `count` bytes.
  void Pass(size_t count) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(at_ + count), '\n'));
    if (count > 0) line_starting_ = source_[at_ + count - 1] == '\n';
    at_ += count;
  }
  bool Take(std::string_view text) {
    if (!Sees(text)) return false;
    Pass(text.size());
    return true;
  }
  // The sign that may stand after a tag's opening: '-', '+' or none (0).
  char Sign() { return Take("-") ? '-' : Take("+") ? '+' : '\0'; }

  // Text up to `end`, with the white space before a tag of this sign taken away.
  void AddData(size_t begin, size_t end, char sign, bool keeps_indentation, bool line_starting) {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') {
      const Text stripped = Strip(Text(text), std::nullopt, false, true);
      text = text.substr(0, stripped.size());
    } else if (sign != '+' && !keeps_indentation) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == text.npos ? 0 : newline + 1;
      const std::string_view indentation = text.substr(start);
      if ((start > 0 || line_starting) && LeadingSpace(indentation) == indentation.size()) text = text.substr(0, start);
    }
    if (!text.empty()) Add(Type::kData, text);
  }

  // After a tag: '-' before its closing takes the white space away, otherwise a block takes one newline.
  void TrimAfter(char sign, bool block) {
    if (sign == '-') Pass(LeadingSpace(rest()));
    if (sign == '\0' && block) Take("\n");
  }

  // Text, and the tag that it ends at.
  void Data() {
    const size_t begin = at_;
    const bool line_starting = line_starting_;
    size_t open = begin;
    while (
        open + 1 < source_.size() &&
        !(source_[open] == '{' && (source_[open + 1] == '{' || source_[open + 1] == '%' || source_[open + 1] == '#')))
      ++open;
    if (open + 1 >= source_.size()) {
      Add(Type::kData, rest());
      Pass(rest().size());
      return;
    }
    const int line = line_;
    Pass(open - begin);
    const int tag_line = line_;
    const char kind = source_[open + 1];
    Pass(2);
    const char sign = Sign();
    line_ = line;
    AddData(begin, open, sign, kind == '{', line_starting);
    line_ = tag_line;
    if (kind == '#') return Comment();
    if (kind == '%' && Raw()) return;
    Add(kind == '{' ? Type::kPrintBegin : Type::kBlockBegin);
    Expression(kind == '%');
  }

  void Comment() {
    const size_t close = source_.find("#}", at_);
    if (close == source_.npos) Fail("a comment is not closed with #}}");
    char sign = close > at_ ? source_[close - 1] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    Pass(close + 2 - at_);
    TrimAfter(sign, true);
  }

  // {% raw %} up to its {% endraw %}; false, and nothing done, when it is another tag.
  bool Raw() {
    const size_t name = at_ + LeadingSpace(rest());
    if (!std::string_view(source_).substr(name).starts_with("raw")) return false;
    const size_t close = name + 3 + LeadingSpace(std::string_view(source_).substr(name + 3));
    const std::string_view after = std::string_view(source_).substr(close);
    if (!after.starts_with("%}") && !after.starts_with("-%}")) return false;
    Pass(close - at_);
    const bool trims = Take("-");
    Take("%}");
    if (trims) Pass(LeadingSpace(rest()));
    const size_t begin = at_;
    const bool line_starting = line_starting_;
    for (size_t open = source_.find("{%", at_); open != source_.npos; open = source_.find("{%", open + 2)) {
      Pass(open + 2 - at_);
      const char sign = Sign();
      Pass(LeadingSpace(rest()));
      if (!Take("endraw")) continue;
      Pass(LeadingSpace(rest()));
      const char end_sign = Sign();
      if (!Take("%}")) continue;
      AddData(begin, open, sign, false, line_starting);
      TrimAfter(end_sign, true);
      return true;
    }
    Fail("raw is not closed with {{% endraw %}}");
  }

  // Tokens up to the tag's closing, which does not count inside brackets.
  void Expression(bool block) {
    std::string brackets;
    const std::string_view close = block ? "%}" : "}}";
    for (;;) {
      if (at_ >= source_.size()) Fail("a tag is not closed with {}", close);
      if (brackets.empty()) {
        const bool minus = Sees("-") && std::string_view(source_).substr(at_ + 1).starts_with(close);
        const bool plus = block && Sees("+%}");
        if (minus || plus || Sees(close)) {
          Add(block ? Type::kBlockEnd : Type::kPrintEnd);
          Pass(close.size() + (minus || plus ? 1 : 0));
          return TrimAfter(minus ? '-' : plus ? '+' : '\0', block);
        }
      }
      if (const size_t space = LeadingSpace(rest()); space > 0) {
        Pass(space);
      } else if (IsDigit(source_[at_])) {
        Number();
      } else if (IsNameChar(source_[at_])) {
        size_t end = at_;
        while (end < source_.size() && IsNameChar(source_[end])) ++end;
        Add(Type::kName, std::string_view(source_).substr(at_, end - at_));
        Pass(end - at_);
      } else if (source_[at_] == '\'' || source_[at_] == '"') {
        String(source_[at_]);
      } else {
        Operator(brackets);
      }
    }
  }

  // Digits of one kind with single underscores between them; their end.
  size_t Digits(size_t from, bool (*digit)(char)) const {
    size_t at = from;
    while (at < source_.size() && (digit(source_[at]) || (source_[at] == '_' && at > from && source_[at - 1] != '_' &&
                                                          at + 1 < source_.size() && digit(source_[at + 1]))))
      ++at;
    return at;
  }

  void Number() {
    const auto char_at = [&](size_t i) { return i < source_.size() ? source_[i] : '\0'; };
    size_t end = Digits(at_, IsDigit);
    bool whole = true;
    if (char_at(end) == '.' && IsDigit(char_at(end + 1)) && !(at_ > 0 && source_[at_ - 1] == '.')) {
      end = Digits(end + 1, IsDigit);
      whole = false;
    }
    if ((char_at(end) | 0x20) == 'e' && !(at_ > 0 && source_[at_ - 1] == '.')) {
      const size_t digits = end + (char_at(end + 1) == '+' || char_at(end + 1) == '-' ? 2 : 1);
      if (IsDigit(char_at(digits))) {
        end = Digits(digits, IsDigit);
        whole = false;
      }
    }
    int base = 10;
    size_t begin = at_;
    if (whole && source_[at_] == '0') {
      const char letter = static_cast<char>(char_at(at_ + 1) | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      if (base != 10) {
        begin = at_ + 2;
        end = Digits(begin, [](char c) { return IsDigit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
      }
    }
    std::string digits = source_.substr(begin, end - begin);
    std::erase(digits, '_');
    Token& token = Add(whole ? Type::kInt : Type::kFloat, source_.substr(at_, end - at_));
    const char* last = digits.data() + digits.size();
    const auto result = whole ? std::from_chars(digits.data(), last, token.integer, base)
                              : std::from_chars(digits.data(), last, token.number);
    const bool zeros = base != 10 || digits[0] != '0' || digits.find_first_not_of('0') == digits.npos;
    if (result.ec != std::errc() || result.ptr != last || (whole && !zeros)) Fail("{} is no number", token.text);
    Pass(end - at_);
  }

  void String(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) Fail("a text is not closed with {}", quote);
    const std::string_view inside = std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    Add(Type::kText, Unescaped(inside));
    Pass(end + 1 - at_);
  }

  std::string Unescaped(std::string_view text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      const char c = text[++i];
      constexpr std::string_view kShort = "n\nt\tr\r\\\\''\"\"a\ab\bf\fv\v";
      bool known = c == '\n';  // a line that goes on
      for (size_t k = 0; k < kShort.size() && !known; k += 2) {
        if (kShort[k] != c) continue;
        out += kShort[k + 1];
        known = true;
      }
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (digits > 0 || (c >= '0' && c <= '7')) {
        size_t begin = digits > 0 ? i + 1 : i, end = begin;
        while (end < text.size() && end - begin < (digits > 0 ? digits : 3) &&
               (digits > 0 ? std::isxdigit(static_cast<unsigned char>(text[end])) != 0
                           : text[end] >= '0' && text[end] <= '7'))
          ++end;
        const std::string_view code = text.substr(begin, end - begin);
        uint32_t value = 0;
        std::from_chars(code.data(), code.data() + code.size(), value, digits > 0 ? 16 : 8);
        if ((digits > 0 && code.size() != digits) || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
          Fail("\\{}{} is no character", c, digits > 0 ? code : std::string_view());
        }
        AppendUtf8(static_cast<int32_t>(value), &out);
        i = end - 1;
      } else if (c == 'N') {
        Fail("characters by name, \\N{{...}}, are not supported in chat templates here");
      } else if (!known) {
        out += {'\\', c};
      }
    }
    return out;
  }

  void Operator(std::string& brackets) {
    constexpr std::array<std::string_view, 25> kOperators{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                          "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                          ">",  "<",  "=",  ".",  ":",  "|",  ","};
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return Sees(op); });
    if (found == kOperators.end()) {
      const Utf8Char c = DecodeUtf8(rest());
      Fail("{} does not belong in a template's expression", rest().substr(0, static_cast<size_t>(c.length)));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) Fail("a {} too many", c);
      brackets.pop_back();
    }
    Add(Type::kOperator, *found);
    Pass(found->size());
  }

  std::string source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

bool TokenStream::Sees(Names names) const {
  return std::any_of(names.begin(), names.end(), [this](std::string_view name) { return now().IsName(name); });
}

bool TokenStream::Take(std::string_view op) {
  if (!now().Is(op)) return false;
  Pass();
  return true;
}

bool TokenStream::TakeName(std::string_view name) {
  if (!now().IsName(name)) return false;
  Pass();
  return true;
}

std::string TokenStream::Seen() const {
  switch (now().type) {
    case Type::kEnd: return "the template's end";
    case Type::kPrintEnd: return "}}";
    case Type::kBlockEnd: return "%}";
    default: return fmt::format("\"{}\"", now().text.substr(0, 40));
  }
}

void TokenStream::Expect(std::string_view op) {
  if (!Take(op)) Fail("expected \"{}\", not {}", op, Seen());
}

void TokenStream::ExpectName(std::string_view name) {
  if (!TakeName(name)) Fail("expected {}, not {}", name, Seen());
}

void TokenStream::Expect(Token::Type type, std::string_view what) {
  if (now().type != type) Fail("expected {}, not {}", what, Seen());
  Pass();
}

std::string TokenStream::Name() {
  if (now().type != Type::kName) Fail("expected a name, not {}", Seen());
  std::string name = now().text;
  Pass();
  return name;
}

}  // namespace sputnik::jinja
