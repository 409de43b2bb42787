#include "task/digits.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sputnik {
namespace {

std::string Write(uint64_t n) { return ReverseDigits(std::to_string(n)); }

TEST(Digits, SumsAndProductsAgreeWithIntegers) {
  Random random(1, kStreamTest);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t a = random.Below(1u << (1 + i % 30)), b = random.Below(1u << (1 + i % 23)), d = random.Below(10);
    EXPECT_EQ(AddDigits(Write(a), Write(b)), Write(a + b));
    const std::string product = MultiplyDigits(Write(a), static_cast<int>(d));
    EXPECT_EQ(product.size(), Write(a).size() + 1);
    EXPECT_EQ(TrimDigits(product), Write(a * d));
  }
  EXPECT_EQ(AddDigits("999", "1"), "0001");
  EXPECT_EQ(TrimDigits("000"), "0");
  EXPECT_EQ(ReverseDigits("021"), "120");
}

TEST(Digits, RandomNumbersHaveExactlyThatManyDigits) {
  Random random(1, kStreamTest);
  std::set<std::string> one, two;
  for (int i = 0; i < 2000; ++i) {
    one.insert(RandomDigits(1, random));
    two.insert(RandomDigits(2, random));
    EXPECT_NE(RandomDigits(40, random).back(), '0');
  }
  EXPECT_EQ(one.size(), 9u);
  EXPECT_EQ(two.size(), 90u);
}

TEST(Digits, HashesOfPairsCommute) {
  EXPECT_EQ(HashPair("12", "3"), HashPair("3", "12"));
  EXPECT_NE(HashPair("12", "3"), HashPair("1", "23"));
  EXPECT_NE(HashDigits("1"), HashDigits("10"));
}

}  // namespace
}  // namespace sputnik
