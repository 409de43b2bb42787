#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sputnik {
namespace {

constexpr uint16_t kSign = 0x8000, kInfinity = 0x7f80;

TEST(DType, SizesAndNames) {
  EXPECT_EQ(SizeOf(DType::kF32), 4);
  EXPECT_EQ(SizeOf(DType::kF64), 8);
  EXPECT_EQ(SizeOf(DType::kBF16), 2);
  EXPECT_EQ(SizeOf(DType::kI32), 4);
  EXPECT_EQ(NameOf(DType::kF32), "F32");
  EXPECT_EQ(NameOf(DType::kF64), "F64");
  EXPECT_EQ(NameOf(DType::kBF16), "BF16");
  EXPECT_EQ(NameOf(DType::kI32), "I32");
  EXPECT_EQ(DTypeOf<float>(), DType::kF32);
  EXPECT_EQ(DTypeOf<double>(), DType::kF64);
  EXPECT_EQ(DTypeOf<int32_t>(), DType::kI32);
}

TEST(BF16, EveryValueSurvivesTheWayThereAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto bf16 = static_cast<uint16_t>(bits);
    const float value = FloatFromBF16(bf16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromBF16(BF16FromFloat(value))));
    } else {
      ASSERT_EQ(BF16FromFloat(value), bf16);
    }
  }
}

// Between each two neighbours, the definition decided in exact double arithmetic: the nearer one, at the middle the
// even.
TEST(BF16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint16_t low = 0; low < kInfinity; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const double below = FloatFromBF16(low);
    // The step above the largest number is as wide as the one below it; what reaches its middle becomes infinite.
    const double above =
        high == kInfinity ? 2.0 * below - FloatFromBF16(static_cast<uint16_t>(low - 1)) : FloatFromBF16(high);
    const auto middle = static_cast<float>((below + above) / 2);
    ASSERT_EQ(static_cast<double>(middle), (below + above) / 2);
    const uint16_t even = low % 2 == 0 ? low : high;
    const float before = std::nextafter(middle, 0.0f),
                after = std::nextafter(middle, std::numeric_limits<float>::infinity());
    ASSERT_EQ(BF16FromFloat(middle), even) << low;
    ASSERT_EQ(BF16FromFloat(before), low) << low;
    ASSERT_EQ(BF16FromFloat(after), high) << low;
    ASSERT_EQ(BF16FromFloat(-middle), even | kSign) << low;
    ASSERT_EQ(BF16FromFloat(-before), low | kSign) << low;
    ASSERT_EQ(BF16FromFloat(-after), high | kSign) << low;
  }
}

TEST(BF16, SpecialValues) {
  EXPECT_EQ(BF16FromFloat(std::numeric_limits<float>::infinity()), kInfinity);
  EXPECT_EQ(BF16FromFloat(-std::numeric_limits<float>::infinity()), kInfinity | kSign);
  EXPECT_EQ(BF16FromFloat(std::numeric_limits<float>::max()), kInfinity);
  EXPECT_EQ(BF16FromFloat(-0.0f), kSign);
  EXPECT_EQ(BF16FromFloat(std::numeric_limits<float>::denorm_min()), 0);
  // A NaN whose only mark lies in the lost half must not become infinity.
  EXPECT_TRUE(std::isnan(FloatFromBF16(BF16FromFloat(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(FloatFromBF16(BF16FromFloat(std::bit_cast<float>(0xffffffffu)))));
}

// All 2^32 floats: the function never falls, so with the neighbours above every value is settled.
TEST(BF16Slow, NeverFallsOverAllFloats) {
  uint32_t falls = 0, nans = 0;
  uint16_t last = 0;
  for (uint32_t bits = 0; bits <= 0x7f800000u; ++bits) {
    const uint16_t rounded = BF16FromFloat(std::bit_cast<float>(bits));
    falls += rounded < last;
    falls += BF16FromFloat(std::bit_cast<float>(bits | 0x80000000u)) != (rounded | kSign);
    last = rounded;
  }
  for (uint32_t bits = 0x7f800001u; bits < 0x80000000u; ++bits) {
    nans += (BF16FromFloat(std::bit_cast<float>(bits)) & 0x7fffu) > kInfinity;
    nans += (BF16FromFloat(std::bit_cast<float>(bits | 0x80000000u)) & 0x7fffu) > kInfinity;
  }
  EXPECT_EQ(falls, 0u);
  EXPECT_EQ(nans, 2 * 0x7fffffu);
}

}  // namespace
}  // namespace sputnik
