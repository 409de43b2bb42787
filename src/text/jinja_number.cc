#include "text/jinja_number.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace sputnik::jinja {
namespace {

// Without the white space around it, a plus in front, and the underscores that may stand between digits.
std::string Bare(const Text& text) {
  std::string bare = Strip(text, std::nullopt, true, true).bytes;
  if (bare.starts_with('+') && !bare.starts_with("+-")) bare.erase(0, 1);
  const auto digit = [&](size_t i) { return std::isalnum(static_cast<unsigned char>(bare[i])) != 0; };
  for (size_t i = 1; i + 1 < bare.size(); ++i) {
    if (bare[i] == '_' && digit(i - 1) && digit(i + 1)) bare.erase(i, 1);
  }
  return bare;
}

}  // namespace

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::scientific);
  const std::string scientific(digits.data(), end.ptr);
  const size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return scientific;  // C++ and Python both write two digits of exponent at least
  const auto fixed = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  std::string text(digits.data(), fixed.ptr);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

std::optional<int64_t> ParseInt(const Text& text, int base) {
  std::string digits = Bare(text);
  if (base == 16 && (digits.starts_with("0x") || digits.starts_with("0X"))) digits.erase(0, 2);
  int64_t whole = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), whole, base);
  if (digits.empty() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) ThrowBadInput("a whole number beyond 64 bits");
  return result.ec == std::errc() ? std::optional(whole) : std::nullopt;
}

std::optional<double> ParseFloat(const Text& text) {
  const std::string digits = Bare(text);
  if (digits.find('(') != digits.npos) return std::nullopt;  // nan(...), which is C's alone
  double number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (result.ec == std::errc::invalid_argument || result.ptr != digits.data() + digits.size()) return std::nullopt;
  return result.ec == std::errc() ? number : std::strtod(digits.c_str(), nullptr);
}

double RoundFloat(double value, int precision) {
  std::array<char, 700> digits;
  std::snprintf(digits.data(), digits.size(), "%.*f", precision, value);
  return std::strtod(digits.data(), nullptr);
}

}  // namespace sputnik::jinja
