#include "base/random.h"

#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/elementary.h"

namespace sputnik {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t HashCombine(uint64_t a, uint64_t b) { return Mix(Mix(a + kGolden) ^ (b * kGolden + 0x632be59bd9b4e019ULL)); }

Random::Random(uint64_t seed, uint64_t stream, uint64_t step) : key_(HashCombine(HashCombine(seed, stream), step)) {}

uint64_t Random::Next() { return Mix(key_ ^ Mix(++counter_ * kGolden)); }

double Random::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

uint64_t Random::Below(uint64_t n) {
  CHECK_GT(n, 0u);
  const uint64_t limit = -n % n;  // 2^64 mod n: values below it would be drawn once too often
  for (;;) {
    const uint64_t value = Next();
    if (value >= limit) return value % n;
  }
}

double Random::Normal() {
  const double radius = std::sqrt(-2.0 * Log(1.0 - Uniform()));
  return radius * Cos(6.283185307179586476925 * Uniform());
}

uint64_t PermutedIndex(uint64_t n, uint64_t i, uint64_t key) {
  CHECK_LT(i, n);
  // Rounds use keys far apart: with key + round, neighbouring keys would share five of their six rounds and their
  // permutations would be each other's, shifted by a round.
  // The network permutes [0, 2^(2*half)), the smallest such range that holds n; places outside [0, n) are walked
  // through.
  const int half = (static_cast<int>(std::bit_width(n - 1)) + 1) / 2;
  if (half == 0) return 0;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  do {
    uint64_t left = i >> half, right = i & mask;
    for (uint64_t round = 0; round < 6; ++round) {
      const uint64_t next = left ^ (HashCombine(key + round * kGolden, right) & mask);
      left = right;
      right = next;
    }
    i = (left << half) | right;
  } while (i >= n);
  return i;
}

}  // namespace sputnik
