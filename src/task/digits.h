// Natural numbers of any length as decimal digits, least significant first: "021" is one hundred and twenty. In this
// order each digit of a sum or product depends on what was written just before, which small models can learn.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"

namespace sputnik {

// A number of exactly `count` digits, the most significant one not zero; each equally likely.
std::string RandomDigits(int64_t count, Random& random);

std::string AddDigits(std::string_view a, std::string_view b);

// a times one digit, always with one digit more than `a` (the last may be 0).
std::string MultiplyDigits(std::string_view a, int digit);

// Without most significant zeros; zero is "0".
std::string TrimDigits(std::string digits);

std::string ReverseDigits(std::string_view digits);

uint64_t HashDigits(std::string_view digits);

// The same for (a, b) and (b, a), so that a commutated problem falls on the same side of a split.
uint64_t HashPair(std::string_view a, std::string_view b);

}  // namespace sputnik
