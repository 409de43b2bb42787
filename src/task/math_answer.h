// Checking a free answer to a mathematical question against a reference, as for GSM8K: where the answer is, and whether
// two ways of writing a number are the same number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "task/task.h"

namespace sputnik {

struct Rational {
  int64_t numerator;
  int64_t denominator;  // > 0, without common divisors
  bool operator==(const Rational&) const = default;
};

// Reads a number exactly: 18, -3, 1,234.50, .5, 3/4, \frac{3}{4} (\dfrac and \tfrac too), with $ or \$ before it, % or
// a full stop after it (50% is read as 50). Nothing for other text and for what exceeds 64 bits.
std::optional<Rational> ParseNumber(std::string_view text);

// The answer a text gives, by the first of these that it has: the last \boxed{...}; the last <answer>...</answer>; what
// follows the last "####"; the last number. Thoughts are no answers: where there is a </think>, only what follows the
// last one counts. A view into `text`, trimmed.
std::optional<std::string_view> ExtractAnswer(std::string_view text);

// Whether two answers are equal: as numbers where both are numbers, and else as text, white space and a last full stop
// aside.
bool SameAnswer(std::string_view a, std::string_view b);

// Scores a completion against a reference (which may hold a solution that ends in its answer). A reference in words is
// compared with the whole text after the thoughts, where the completion does not mark an answer.
Score GradeMathAnswer(std::string_view completion, std::string_view reference);

}  // namespace sputnik
