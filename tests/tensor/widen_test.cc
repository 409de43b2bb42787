#include "tensor/widen.h"

#include <bit>
#include <cmath>

#include "tests/support/golden.h"

namespace sputnik {
namespace {

std::vector<float> Widened(const StoredTensor& tensor, const StoredTensor* scales = nullptr) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  Widen(tensor, scales, 0, values);
  return values;
}

// The same bits, or NaN on both sides.
void ExpectSame(std::span<const float> ours, std::span<const float> expected) {
  ASSERT_EQ(ours.size(), expected.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(ours[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(ours[i]), std::bit_cast<uint32_t>(expected[i])) << i;
    }
  }
}

class WidenTest : public testing::Test {
 protected:
  const StoredTensor& Get(const std::string& name) const { return file_.tensors().at(name); }
  SafetensorsFile file_{GoldenFolder() / "tensor/fp8.safetensors"};
};

TEST_F(WidenTest, EightBitNumbersAreTorchs) { ExpectSame(Widened(Get("all")), StoredValues<float>(file_, "all.f32")); }

TEST_F(WidenTest, HalvesAreTorchs) { ExpectSame(Widened(Get("half")), StoredValues<float>(file_, "half.f32")); }

// Two by two blocks, three of them cut off.
TEST_F(WidenTest, EachBlockHasItsScale) {
  const StoredTensor& weight = Get("weight");
  ASSERT_EQ(weight.dtype, DType::kF8E4M3);
  const std::vector<float> expected = StoredValues<float>(file_, "weight.f32");
  ExpectSame(Widened(weight, &Get("weight_scale_inv")), expected);
  // A part may begin and end anywhere.
  for (const int64_t begin : {0, 1, 127, 128, 132, 133, 17'000}) {
    for (const int64_t count : {1, 5, 129, 400}) {
      std::vector<float> part(static_cast<size_t>(count));
      Widen(weight, &Get("weight_scale_inv"), begin, part);
      ExpectSame(part, std::span(expected).subspan(static_cast<size_t>(begin), part.size()));
    }
  }
}

TEST(WidenTypesTest, EveryHalfEqualsItsFormula) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = FloatFromF16(static_cast<uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 0x1f), fraction = static_cast<int>(bits & 0x3ff);
    EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    if (exponent == 31) {
      EXPECT_TRUE(fraction == 0 ? std::isinf(value) : std::isnan(value)) << bits;
    } else {
      const double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
      EXPECT_EQ(std::abs(static_cast<double>(value)), expected) << bits;
    }
  }
}

TEST(WidenTypesTest, AnyAddressIsRead) {
  const std::vector<float> values = {1.5f, -2.25f, 3e-40f};
  std::vector<std::byte> memory(1 + 4 * values.size());
  std::memcpy(memory.data() + 1, values.data(), 4 * values.size());
  const StoredTensor tensor{DType::kF32, {3}, std::span<const std::byte>(memory).subspan(1)};
  ExpectSame(Widened(tensor), values);
  std::vector<float> last(1);
  Widen(tensor, nullptr, 2, last);
  EXPECT_EQ(last[0], values[2]);
  const StoredTensor half{DType::kBF16, {2}, std::span<const std::byte>(memory).subspan(3, 4)};
  EXPECT_EQ(Widened(half)[0], 1.5f) << "the upper half of 1.5";
}

TEST(WidenTypesTest, NarrowingRoundsAndComesBack) {
  const std::vector<float> values = {1, -0.f, 1.00390625f, 1.01171875f, 3.4e38f};
  std::vector<uint16_t> narrow(values.size());
  Narrow(values, narrow);
  EXPECT_EQ(narrow, (std::vector<uint16_t>{0x3f80, 0x8000, 0x3f80, 0x3f82, 0x7f80}));
}

}  // namespace
}  // namespace sputnik
