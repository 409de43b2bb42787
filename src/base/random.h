// Counter-based random numbers: what is drawn is a pure function of (seed, stream, step, how many were drawn before),
// so a sample never depends on its neighbours or on how often something else was drawn, and nothing needs to be saved
// but these numbers. The mixer is SplitMix64's finaliser (Steele, Lea, Flood 2014), applied to a key and a counter.
#pragma once

#include <cstdint>

namespace sputnik {

class Random {
 public:
  Random(uint64_t seed, uint64_t stream, uint64_t step = 0);

  uint64_t Next();
  double Uniform();            // [0, 1), 53 random bits
  uint64_t Below(uint64_t n);  // [0, n), unbiased; n > 0
  double Normal();             // mean 0, variance 1, by Box and Muller

 private:
  uint64_t key_;
  uint64_t counter_ = 0;
};

// Stream names, so that two users of one seed never share numbers.
enum RandomStream : uint64_t {
  kStreamInit = 1,
  kStreamDataOrder = 2,
  kStreamPositions = 3,
  kStreamSampling = 4,
  kStreamTask = 5,
  kStreamReward = 6,
  kStreamCurriculum = 7,
  kStreamTest = 99,
};

// The `i`-th place of a pseudo-random permutation of [0, n): a pure function of (n, i, key), by a Feistel network with
// cycle walking. No table is kept, so an epoch's order costs no memory. Requires 0 <= i < n.
uint64_t PermutedIndex(uint64_t n, uint64_t i, uint64_t key);

uint64_t HashCombine(uint64_t a, uint64_t b);

}  // namespace sputnik
