#include "base/elementary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/random.h"

namespace sputnik {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// How many representable numbers lie between a and the exact value, whose rounding to double is `exact`.
double UlpsBetween(double a, double exact) {
  if (a == exact) return 0;
  const double unit = std::nextafter(std::abs(exact), kInfinity) - std::abs(exact);
  return std::abs(a - exact) / unit;
}

struct Worst {
  double ulps = 0, at = 0;
  void See(double x, double got, double exact) {
    const double error = UlpsBetween(got, exact);
    if (!(error <= ulps)) ulps = error, at = x;
  }
};

TEST(Elementary, ExpIsNearTheExactValue) {
  Random random(1, kStreamTest);
  Worst worst;
  for (int i = 0; i < 300'000; ++i) {
    const double x = (random.Uniform() * 2 - 1) * (i % 3 == 0 ? 708.0 : i % 3 == 1 ? 20.0 : 1e-3);
    worst.See(x, Exp(x), static_cast<double>(std::exp(static_cast<long double>(x))));
  }
  EXPECT_LE(worst.ulps, 2) << "at " << worst.at;
}

TEST(Elementary, LogIsNearTheExactValue) {
  Random random(2, kStreamTest);
  Worst worst;
  for (int i = 0; i < 300'000; ++i) {
    const double x = i % 2 == 0 ? std::ldexp(1 + random.Uniform(), static_cast<int>(random.Below(2040)) - 1020)
                                : 1 + (random.Uniform() - 0.5) * std::ldexp(1.0, -static_cast<int>(random.Below(40)));
    worst.See(x, Log(x), static_cast<double>(std::log(static_cast<long double>(x))));
  }
  EXPECT_LE(worst.ulps, 2) << "at " << worst.at;
}

TEST(Elementary, SinAndCosAreNearTheExactValue) {
  Random random(3, kStreamTest);
  Worst sine, cosine;
  const auto see = [&](double x) {
    sine.See(x, Sin(x), static_cast<double>(std::sin(static_cast<long double>(x))));
    cosine.See(x, Cos(x), static_cast<double>(std::cos(static_cast<long double>(x))));
  };
  for (int i = 0; i < 300'000; ++i) {
    const double scale = i % 4 == 0 ? 1.0 : i % 4 == 1 ? 100.0 : i % 4 == 2 ? 1e6 : 1e9;
    see((random.Uniform() * 2 - 1) * scale);
  }
  EXPECT_LE(sine.ulps, 2) << "at " << sine.at;
  EXPECT_LE(cosine.ulps, 2) << "at " << cosine.at;
}

// Every rotation table is made of whole positions times frequencies.
TEST(Elementary, SinAndCosOfWholeNumbers) {
  Worst sine, cosine;
  for (int i = -200'000; i <= 200'000; ++i) {
    sine.See(i, Sin(i), static_cast<double>(std::sin(static_cast<long double>(i))));
    cosine.See(i, Cos(i), static_cast<double>(std::cos(static_cast<long double>(i))));
  }
  EXPECT_LE(sine.ulps, 2) << "at " << sine.at;
  EXPECT_LE(cosine.ulps, 2) << "at " << cosine.at;
}

TEST(Elementary, PowIsWithinItsStatedError) {
  Random random(4, kStreamTest);
  for (int i = 0; i < 100'000; ++i) {
    const double x = std::ldexp(1 + random.Uniform(), static_cast<int>(random.Below(40)) - 20);
    const double y = (random.Uniform() * 2 - 1) * 10;
    const double exact = static_cast<double>(std::pow(static_cast<long double>(x), static_cast<long double>(y)));
    ASSERT_LE(UlpsBetween(Pow(x, y), exact), 2 + 2 * std::abs(y * std::log(x))) << x << "^" << y;
  }
}

TEST(Elementary, EdgesOfTheRanges) {
  EXPECT_EQ(Exp(0), 1);
  EXPECT_EQ(Exp(710), kInfinity);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_EQ(Exp(-746), 0);
  EXPECT_EQ(Exp(-kInfinity), 0);
  EXPECT_LE(UlpsBetween(Exp(709.78), std::exp(709.78)), 2);
  EXPECT_GT(Exp(-744), 0) << "subnormal results are kept";
  EXPECT_TRUE(std::isnan(Exp(std::nan(""))));
  EXPECT_EQ(Log(1), 0);
  EXPECT_EQ(Log(0), -kInfinity);
  EXPECT_EQ(Log(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(Log(-1)));
  EXPECT_TRUE(std::isnan(Log(std::nan(""))));
  EXPECT_LE(UlpsBetween(Log(4.9e-324), std::log(4.9e-324)), 2);
  EXPECT_EQ(Sin(0), 0);
  EXPECT_EQ(Cos(0), 1);
  EXPECT_EQ(Pow(7, 0), 1);
}

// The same bits on every machine and compiler: what the promise is about.
TEST(Elementary, GoldenBits) {
  EXPECT_EQ(std::bit_cast<uint64_t>(Exp(1.0)), 0x4005bf0a8b145769u);
  EXPECT_EQ(std::bit_cast<uint64_t>(Log(10.0)), 0x40026bb1bbb55516u);
  EXPECT_EQ(std::bit_cast<uint64_t>(Sin(1000.0)), 0x3fea75cc150a206cu);
  EXPECT_EQ(std::bit_cast<uint64_t>(Cos(1e6)), 0x3fedf9df9906d32cu);
  EXPECT_EQ(std::bit_cast<uint64_t>(Pow(10000.0, -0.3125)), 0x3faccab8602d2693u);
}

}  // namespace
}  // namespace sputnik
