#include "task/digits.h"

#include <algorithm>

#include "base/check.h"

namespace sputnik {
namespace {

char ToChar(int digit) { return static_cast<char>('0' + digit); }
int DigitAt(std::string_view digits, size_t i) { return i < digits.size() ? digits[i] - '0' : 0; }

}  // namespace

std::string RandomDigits(int64_t count, Random& random) {
  CHECK_GT(count, 0);
  std::string digits;
  for (int64_t i = 0; i + 1 < count; ++i) digits += ToChar(static_cast<int>(random.Below(10)));
  digits += ToChar(static_cast<int>(1 + random.Below(9)));
  return digits;
}

std::string AddDigits(std::string_view a, std::string_view b) {
  std::string sum;
  int carry = 0;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const int column = DigitAt(a, i) + DigitAt(b, i) + carry;
    sum += ToChar(column % 10);
    carry = column / 10;
  }
  if (carry > 0) sum += ToChar(carry);
  return sum;
}

std::string MultiplyDigits(std::string_view a, int digit) {
  std::string product;
  int carry = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int column = DigitAt(a, i) * digit + carry;
    product += ToChar(column % 10);
    carry = column / 10;
  }
  product += ToChar(carry);
  return product;
}

std::string TrimDigits(std::string digits) {
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  return digits;
}

std::string ReverseDigits(std::string_view digits) { return std::string(digits.rbegin(), digits.rend()); }

uint64_t HashDigits(std::string_view digits) {
  uint64_t hash = digits.size();
  for (const char digit : digits) hash = HashCombine(hash, static_cast<uint64_t>(digit));
  return hash;
}

uint64_t HashPair(std::string_view a, std::string_view b) {
  const auto [low, high] = std::minmax(a, b);
  return HashCombine(HashDigits(low), HashDigits(high));
}

}  // namespace sputnik
