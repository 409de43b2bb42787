#include "task/expression.h"

#include <limits>

namespace sputnik {
namespace {

// Recursive descent over  sum = product (("+" | "-") product)*,  product = atom (("*" | "/") atom)*,
// atom = digits | "(" sum ")".
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Evaluated> Run() {
    const std::optional<int64_t> value = Sum(0);
    SkipSpaces();
    if (!value || place_ != text_.size()) return std::nullopt;
    return Evaluated{.value = *value, .numbers = std::move(numbers_)};
  }

 private:
  std::optional<int64_t> Sum(int depth) {
    std::optional<int64_t> left = Product(depth);
    while (left) {
      const char symbol = Take("+-");
      if (symbol == 0) break;
      left = Combine(symbol, *left, Product(depth));
    }
    return left;
  }

  std::optional<int64_t> Product(int depth) {
    std::optional<int64_t> left = Atom(depth);
    while (left) {
      const char symbol = Take("*/");
      if (symbol == 0) break;
      left = Combine(symbol, *left, Atom(depth));
    }
    return left;
  }

  std::optional<int64_t> Atom(int depth) {
    if (Take("(") != 0) {
      if (depth == kMaxExpressionDepth) return std::nullopt;
      const std::optional<int64_t> inner = Sum(depth + 1);
      return inner && Take(")") != 0 ? inner : std::nullopt;
    }
    const size_t begin = place_;
    int64_t value = 0;
    for (; place_ < text_.size() && text_[place_] >= '0' && text_[place_] <= '9'; ++place_) {
      if (__builtin_mul_overflow(value, int64_t{10}, &value)) return std::nullopt;
      if (__builtin_add_overflow(value, int64_t{text_[place_] - '0'}, &value)) return std::nullopt;
    }
    if (place_ == begin) return std::nullopt;
    numbers_.push_back(value);
    return value;
  }

  static std::optional<int64_t> Combine(char symbol, int64_t left, std::optional<int64_t> right) {
    if (!right) return std::nullopt;
    int64_t value = 0;
    bool overflow = false;
    switch (symbol) {
      case '+': overflow = __builtin_add_overflow(left, *right, &value); break;
      case '-': overflow = __builtin_sub_overflow(left, *right, &value); break;
      case '*': overflow = __builtin_mul_overflow(left, *right, &value); break;
      default:
        // The lowest number divided by -1 has no 64-bit result, and its remainder traps.
        if (*right == 0 || (left == std::numeric_limits<int64_t>::min() && *right == -1)) return std::nullopt;
        if (left % *right != 0) return std::nullopt;
        value = left / *right;
    }
    if (overflow) return std::nullopt;
    return value;
  }

  void SkipSpaces() {
    while (place_ < text_.size() && text_[place_] == ' ') ++place_;
  }

  // Reads the next symbol if it is one of `symbols`; 0 otherwise.
  char Take(std::string_view symbols) {
    SkipSpaces();
    if (place_ == text_.size() || symbols.find(text_[place_]) == std::string_view::npos) return 0;
    const char symbol = text_[place_++];
    SkipSpaces();
    return symbol;
  }

  std::string_view text_;
  size_t place_ = 0;
  std::vector<int64_t> numbers_;
};

}  // namespace

std::optional<Evaluated> EvaluateExpression(std::string_view text) {
  if (text.size() > kMaxExpressionBytes) return std::nullopt;
  return Parser(text).Run();
}

}  // namespace sputnik
