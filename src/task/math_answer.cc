#include "task/math_answer.h"

#include <algorithm>
#include <numeric>

namespace sputnik {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kMaxNumberBytes = 64;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool TakePrefix(std::string_view prefix, std::string_view& text) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<Rational> MakeRational(int64_t numerator, int64_t denominator) {
  if (denominator <= 0) return std::nullopt;
  const int64_t divisor = std::gcd(numerator, denominator);
  return Rational{numerator / divisor, denominator / divisor};
}

// Digits with thousands separators and a fraction: 1,234.50. No sign.
std::optional<Rational> ParseDecimal(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const size_t comma = text.find(',');
  int64_t value = 0, scale = 1;
  bool any = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == point) continue;
    if (text[i] == ',') {
      // Groups of three digits after the first comma, and one to three before it.
      if (comma == 0 || comma > 3 || i > point || (i - comma) % 4 != 0) return std::nullopt;
      continue;
    }
    if (!IsDigit(text[i]) || (comma < i && i < point && (i - comma) % 4 == 0)) return std::nullopt;
    any = true;
    if (__builtin_mul_overflow(value, int64_t{10}, &value)) return std::nullopt;
    if (__builtin_add_overflow(value, int64_t{text[i] - '0'}, &value)) return std::nullopt;
    if (i > point && __builtin_mul_overflow(scale, int64_t{10}, &scale)) return std::nullopt;
  }
  if (comma < point && (point - comma) % 4 != 0) return std::nullopt;
  return any ? MakeRational(value, scale) : std::nullopt;
}

std::optional<Rational> Divide(std::optional<Rational> a, std::optional<Rational> b) {
  if (!a || !b || b->numerator == 0) return std::nullopt;
  int64_t numerator = 0, denominator = 0;
  if (__builtin_mul_overflow(a->numerator, b->denominator, &numerator)) return std::nullopt;
  if (__builtin_mul_overflow(a->denominator, b->numerator, &denominator)) return std::nullopt;
  return MakeRational(numerator, denominator);
}

// \frac{a}{b} without the command.
std::optional<Rational> ParseBraces(std::string_view text) {
  const size_t middle = text.find("}{");
  if (middle == kNone || !text.starts_with('{') || !text.ends_with('}')) return std::nullopt;
  return Divide(ParseDecimal(Trim(text.substr(1, middle - 1))),
                ParseDecimal(Trim(text.substr(middle + 2, text.size() - middle - 3))));
}

std::string_view AfterThoughts(std::string_view text) {
  constexpr std::string_view kThinkEnd = "</think>";
  const size_t end = text.rfind(kThinkEnd);
  return end == kNone ? text : text.substr(end + kThinkEnd.size());
}

std::optional<std::string_view> LastBoxed(std::string_view text) {
  constexpr std::string_view kBoxed = "\\boxed{";
  const size_t found = text.rfind(kBoxed);
  if (found == kNone) return std::nullopt;
  const size_t begin = found + kBoxed.size();
  int64_t open = 1;
  for (size_t i = begin; i < text.size(); ++i) {
    open += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
    if (open == 0) return Trim(text.substr(begin, i - begin));
  }
  return std::nullopt;
}

std::optional<std::string_view> LastTagged(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>", kClose = "</answer>";
  const size_t end = text.rfind(kClose);
  if (end == kNone) return std::nullopt;
  const size_t open = text.substr(0, end).rfind(kOpen);
  if (open == kNone) return std::nullopt;
  return Trim(text.substr(open + kOpen.size(), end - open - kOpen.size()));
}

std::optional<std::string_view> MarkedAnswer(std::string_view text) {
  if (const auto boxed = LastBoxed(text)) return boxed;
  if (const auto tagged = LastTagged(text)) return tagged;
  constexpr std::string_view kMark = "####";
  const size_t mark = text.rfind(kMark);
  if (mark == kNone) return std::nullopt;
  return Trim(text.substr(mark + kMark.size()));
}

std::optional<std::string_view> LastNumber(std::string_view text) {
  const size_t last = text.find_last_of("0123456789");
  if (last == kNone) return std::nullopt;
  // Back over digits, and over separators that have a digit on both sides.
  size_t begin = last;
  while (begin > 0 && last - begin < kMaxNumberBytes) {
    const char before = text[begin - 1];
    const bool separates = (before == '.' || before == ',' || before == '/') && begin > 1 && IsDigit(text[begin - 2]);
    if (!IsDigit(before) && !separates) break;
    --begin;
  }
  if (begin > 0 && text[begin - 1] == '.' && (begin == 1 || !IsLetter(text[begin - 2]))) --begin;  // .5
  std::string_view number = text.substr(begin, last + 1 - begin);
  // Of dates and lists such as 12/25/2023 and 1,2 the last part counts.
  const auto cut = [&](size_t separator) {
    begin += separator + 1;
    number.remove_prefix(separator + 1);
  };
  if (std::count(number.begin(), number.end(), '/') > 1) cut(number.rfind('/'));
  while (!ParseNumber(number)) {
    const size_t separator = number.find_first_of(",/");
    if (separator == kNone) return number;
    cut(separator);
  }
  const bool negative =
      begin > 0 && text[begin - 1] == '-' && (begin == 1 || (!IsDigit(text[begin - 2]) && !IsLetter(text[begin - 2])));
  return negative ? text.substr(begin - 1, number.size() + 1) : number;
}

std::string Normalised(std::string_view text) {
  std::string words;
  bool space = false;
  for (const char c : Trim(text)) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      space = true;
      continue;
    }
    if (space) words += ' ';
    space = false;
    words += c;
  }
  if (words.ends_with('.')) words.pop_back();
  return words;
}

}  // namespace

std::optional<Rational> ParseNumber(std::string_view text) {
  if (text.size() > 2 * kMaxNumberBytes) return std::nullopt;
  text = Trim(text);
  bool negative = TakePrefix("-", text);
  if (!TakePrefix("\\$", text)) TakePrefix("$", text);
  if (!negative) negative = TakePrefix("-", text);
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.ends_with('%')) text.remove_suffix(text.ends_with("\\%") ? 2 : 1);
  std::optional<Rational> value;
  const size_t slash = text.find('/');
  if (TakePrefix("\\frac", text) || TakePrefix("\\dfrac", text) || TakePrefix("\\tfrac", text)) {
    value = ParseBraces(text);
  } else if (slash != kNone) {
    value = Divide(ParseDecimal(Trim(text.substr(0, slash))), ParseDecimal(Trim(text.substr(slash + 1))));
  } else {
    value = ParseDecimal(text);
  }
  if (value && negative) value->numerator = -value->numerator;
  return value;
}

std::optional<std::string_view> ExtractAnswer(std::string_view text) {
  text = AfterThoughts(text);
  const std::optional<std::string_view> marked = MarkedAnswer(text);
  return marked ? marked : LastNumber(text);
}

bool SameAnswer(std::string_view a, std::string_view b) {
  const std::optional<Rational> number_a = ParseNumber(a), number_b = ParseNumber(b);
  if (number_a && number_b) return number_a == number_b;
  return Normalised(a) == Normalised(b);
}

Score GradeMathAnswer(std::string_view completion, std::string_view reference) {
  const std::string_view expected = MarkedAnswer(reference).value_or(Trim(reference));
  const std::string_view text = AfterThoughts(completion);
  std::optional<std::string_view> given = MarkedAnswer(text);
  if (!given) given = ParseNumber(expected) ? LastNumber(text) : Trim(text);
  return AccuracyScore(given && !given->empty() && SameAnswer(*given, expected));
}

}  // namespace sputnik
