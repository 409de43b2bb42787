#include "op/attention.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "tensor/batch.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Attention, "attention");

namespace {

constexpr int64_t kHeads = 2, kKey = 6, kValue = 5, kTokens = 40;

struct Operands {
  std::vector<float> q = Numbers(kTokens * kHeads * kKey, 1), k = Numbers(kTokens * kHeads * kKey, 2),
                     v = Numbers(kTokens * kHeads * kValue, 3);

  static std::vector<float> Numbers(int64_t count, uint64_t seed) {
    Random random(seed, kStreamTest);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(random.Normal());
    return values;
  }
};

Tensor Heads(std::vector<float>& values, int64_t width) {
  return Tensor(values.data(), DType::kF32, {static_cast<int64_t>(values.size()) / (kHeads * width), kHeads, width});
}

// One sequence, as training sees it.
std::vector<float> Whole(Pass& pass, Operands& o) {
  const int32_t start[] = {0, kTokens}, count[] = {kTokens};
  const AttentionLayout layout{.sequences = 1, .query_start = start, .key_count = count, .key_start = start};
  const Tensor out = Attention(pass, Heads(o.q, kKey), Heads(o.k, kKey), Heads(o.v, kValue), layout, 0.4);
  return {out.as<float>(), out.as<float>() + out.elements()};
}

// The same sequence in chunks over pages that lie in no order, beside a second sequence: every bit must agree.
TEST(AttentionTest, PagesAndChunksChangeNoBit) {
  Operands o;
  for (const std::string& machine : AvailableMachines()) {
    ThreadPool pool(2);
    Arena arena(1 << 24);
    Pass pass({KernelsFor(machine), pool}, arena);
    const std::vector<float> whole = Whole(pass, o);
    const std::vector<int32_t> table = {4, 1, 3, 0};  // three pages of ours and one of the other sequence
    std::vector<float> keys(5 * kKeyBlock * kHeads * kKey, 1e9f), values(5 * kKeyBlock * kHeads * kValue, 1e9f);
    const auto store = [&](int64_t token, int64_t row) {
      std::copy_n(&o.k[static_cast<size_t>(token * kHeads * kKey)], kHeads * kKey,
                  &keys[static_cast<size_t>(row * kHeads * kKey)]);
      std::copy_n(&o.v[static_cast<size_t>(token * kHeads * kValue)], kHeads * kValue,
                  &values[static_cast<size_t>(row * kHeads * kValue)]);
    };
    for (int64_t t = 0; t < kTokens; ++t)
      store(t, table[static_cast<size_t>(t / kKeyBlock)] * kKeyBlock + t % kKeyBlock);
    store(5, 0);
    for (const int64_t chunk : {1, 3, 16, 17, 40}) {
      for (int64_t begin = 0; begin < kTokens; begin += chunk) {
        const int64_t end = std::min(kTokens, begin + chunk);
        // The other sequence, one query on one key, comes second.
        std::vector<float> q(o.q.begin() + begin * kHeads * kKey, o.q.begin() + end * kHeads * kKey);
        q.insert(q.end(), o.q.begin(), o.q.begin() + kHeads * kKey);
        const auto rows = static_cast<int32_t>(end - begin);
        const int32_t start[] = {0, rows, rows + 1}, count[] = {static_cast<int32_t>(end), 1}, blocks[] = {0, 3, 4};
        const AttentionLayout layout{.sequences = 2,
                                     .query_start = start,
                                     .key_count = count,
                                     .block_table = table.data(),
                                     .block_start = blocks};
        const Tensor out = Attention(pass, Heads(q, kKey), Heads(keys, kKey), Heads(values, kValue), layout, 0.4);
        for (int64_t i = 0; i < rows * kHeads * kValue; ++i) {
          ASSERT_EQ(out.as<float>()[i], whole[static_cast<size_t>(begin * kHeads * kValue + i)])
              << machine << ", chunks of " << chunk << ", from " << begin;
        }
        for (int64_t i = 0; i < kHeads * kValue; ++i) {
          EXPECT_EQ(out.as<float>()[rows * kHeads * kValue + i], o.v[static_cast<size_t>(5 * kHeads * kValue + i)]);
        }
      }
    }
  }
}

TEST(AttentionTest, NoQuerySeesALaterKeyOrAnotherSequence) {
  Operands o;
  ThreadPool pool(1);
  Arena arena(1 << 24);
  Pass pass({KernelsFor("reference"), pool}, arena);
  const std::vector<float> before = Whole(pass, o);
  constexpr int64_t kFrom = 23;
  for (size_t i = kFrom * kHeads * kKey; i < o.k.size(); ++i) o.k[i] = 50;
  for (size_t i = kFrom * kHeads * kValue; i < o.v.size(); ++i) o.v[i] = -50;
  const std::vector<float> after = Whole(pass, o);
  const auto border = kFrom * kHeads * kValue;
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + border, after.begin()));
  EXPECT_FALSE(std::equal(before.begin() + border, before.end(), after.begin() + border));
}

TEST(AttentionTest, HugeScoresStayFinite) {
  Operands o;
  for (float& x : o.q) x *= 1e4f;
  ThreadPool pool(1);
  Arena arena(1 << 24);
  for (const std::string& machine : AvailableMachines()) {
    Pass pass({KernelsFor(machine), pool}, arena);
    for (const float value : Whole(pass, o)) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace sputnik
