#include "task/multiplication.h"

#include "base/error.h"
#include "base/random.h"
#include "task/digits.h"
#include "task/think_answer.h"

namespace sputnik {
namespace {

// "7:41 22 03=4203"
std::string PartialProduct(std::string_view a, int digit) {
  std::string text = fmt::format("{}:", digit);
  int carry = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int column = (a[i] - '0') * digit + carry;
    carry = column / 10;
    text += fmt::format("{}{}{}", i > 0 ? " " : "", column % 10, carry);
  }
  return text + "=" + MultiplyDigits(a, digit);
}

}  // namespace

Multiplication::Multiplication(const MultiplicationOptions& options) : options_(options) {
  if (options.multiplier_digits < 1 || options.multiplier_digits > 2) {
    ThrowUsage("task multiplication: multiplier_digits is {} and must be 1 or 2", options.multiplier_digits);
  }
  CheckFormatWeight(options.format_weight);
}

Problem Multiplication::Make(uint64_t seed, int64_t level, uint64_t index, Split split) const {
  CheckLevel(*this, level);
  Random random(seed, kStreamTask, HashCombine(static_cast<uint64_t>(level), index));
  std::string a, b;
  do {
    a = RandomDigits(level, random);
    b = RandomDigits(options_.multiplier_digits, random);
  } while (SplitOf(HashPair(a, b)) != split);

  std::string product = MultiplyDigits(a, b[0] - '0');
  std::string thought = PartialProduct(a, b[0] - '0');
  if (b.size() == 2) {
    const std::string shifted = fmt::format("0{}", MultiplyDigits(a, b[1] - '0'));
    const std::string sum = TrimDigits(AddDigits(product, shifted));
    thought += fmt::format(" {} {}+{}={}", PartialProduct(a, b[1] - '0'), product, shifted, sum);
    product = sum;
  }
  return {
      .prompt = fmt::format("{}*{}=", a, b), .answer = WriteThinkAnswer(thought, TrimDigits(product)), .level = level};
}

Score Multiplication::Grade(const Problem& problem, std::string_view completion) const {
  const ThinkAnswer given = ParseThinkAnswer(completion), expected = ParseThinkAnswer(problem.answer);
  return ThinkAnswerScore(given.answer && given.answer == expected.answer, given.well_formed, options_.format_weight);
}

}  // namespace sputnik
