#include "data/positions.h"

#include <limits>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"

namespace sputnik {

std::vector<int32_t> RandomPositions(int64_t length, int64_t range, uint64_t seed, uint64_t stream_id) {
  CHECK_GE(length, 0);
  if (length > range || range > std::numeric_limits<int32_t>::max()) {
    ThrowUsage(
        "a sequence of {} tokens cannot take its positions from a range of {}; raise the position range or shorten "
        "the sequences",
        length, range);
  }
  // Selection sampling (Knuth, volume 2, algorithm 3.4.2 S): each place is taken with probability needed / remaining.
  Random random(seed, kStreamPositions, stream_id);
  std::vector<int32_t> positions;
  positions.reserve(static_cast<size_t>(length));
  for (int64_t place = 0; static_cast<int64_t>(positions.size()) < length; ++place) {
    const auto needed = static_cast<uint64_t>(length) - positions.size();
    if (random.Below(static_cast<uint64_t>(range - place)) < needed) positions.push_back(static_cast<int32_t>(place));
  }
  return positions;
}

void RandomisePositions(Sample& sample, int64_t range, uint64_t seed, uint64_t stream_id) {
  sample.positions = RandomPositions(static_cast<int64_t>(sample.ids.size()), range, seed, stream_id);
}

}  // namespace sputnik
