// Evaluation of arithmetic that a model wrote: whole numbers, + - * /, parentheses. Safe for any input: its length, its
// nesting and every result are bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sputnik {

struct Evaluated {
  int64_t value;
  std::vector<int64_t> numbers;  // every number written, in order
};

inline constexpr size_t kMaxExpressionBytes = 256;
inline constexpr int kMaxExpressionDepth = 32;

// Nothing for what is no expression (signs before numbers are none), too long or too deep, for a division by zero or
// with a remainder, and for results beyond 64 bits. Spaces between symbols are free.
std::optional<Evaluated> EvaluateExpression(std::string_view text);

}  // namespace sputnik
