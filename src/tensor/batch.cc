#include "tensor/batch.h"

#include "base/check.h"
#include "base/random.h"

namespace sputnik {

std::vector<int32_t> DrawPositions(int64_t count, int64_t range, uint64_t seed, uint64_t step) {
  CHECK(count >= 0 && count <= range && range <= INT32_MAX);
  // Selection sampling (Knuth, volume 2, algorithm 3.4.2 S): each place is taken with probability missing / remaining.
  Random random(seed, kStreamPositions, step);
  std::vector<int32_t> positions;
  positions.reserve(static_cast<size_t>(count));
  auto missing = static_cast<uint64_t>(count);
  for (int64_t place = 0; missing > 0; ++place) {
    if (random.Below(static_cast<uint64_t>(range - place)) >= missing) continue;
    positions.push_back(static_cast<int32_t>(place));
    --missing;
  }
  return positions;
}

}  // namespace sputnik
