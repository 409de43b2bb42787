#include "task/arithmetic.h"

#include <fmt/core.h>

#include "base/random.h"
#include "task/digits.h"
#include "task/think_answer.h"

namespace sputnik {
namespace {

std::string Columns(std::string_view a, std::string_view b, bool reversed) {
  std::string columns;
  int carry = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int sum = (a[i] - '0') + (b[i] - '0') + carry;
    if (i > 0) columns += ' ';
    columns +=
        fmt::format("{}+{}+{}={}{}", a[i], b[i], carry, reversed ? sum % 10 : sum / 10, reversed ? sum / 10 : sum % 10);
    carry = sum / 10;
  }
  return columns;
}

}  // namespace

Arithmetic::Arithmetic(const ArithmeticOptions& options) : options_(options) {
  CheckFormatWeight(options.format_weight);
}

Problem Arithmetic::Make(uint64_t seed, int64_t level, uint64_t index, Split split) const {
  CheckLevel(*this, level);
  Random random(seed, kStreamTask, HashCombine(static_cast<uint64_t>(level), index));
  std::string a, b;
  do {
    a = RandomDigits(level, random);
    b = RandomDigits(level, random);
  } while (SplitOf(HashPair(a, b)) != split);

  const auto write = [&](const std::string& digits) { return options_.reversed ? digits : ReverseDigits(digits); };
  std::string answer = write(AddDigits(a, b));
  if (options_.scratchpad) answer = WriteThinkAnswer(Columns(a, b, options_.reversed), answer);
  return {.prompt = fmt::format("{}+{}=", write(a), write(b)), .answer = std::move(answer), .level = level};
}

Score Arithmetic::Grade(const Problem& problem, std::string_view completion) const {
  if (!options_.scratchpad) return AccuracyScore(Trim(completion) == problem.answer);
  const ThinkAnswer given = ParseThinkAnswer(completion), expected = ParseThinkAnswer(problem.answer);
  return ThinkAnswerScore(given.answer && given.answer == expected.answer, given.well_formed, options_.format_weight);
}

}  // namespace sputnik
