// Randomised positions (Ruoss and others, arXiv 2305.16843): a sequence is given a sorted random choice of places in a
// longer range, so that rotary embeddings meet in training the distances of sequences longer than any trained on.
#pragma once

#include <cstdint>
#include <vector>

#include "data/packer.h"

namespace sputnik {

// `length` different places of [0, range), ascending; each such choice is equally likely. A pure function of its
// arguments. A sequence that grows while it is sampled draws once for its longest length and uses the front.
// Error (usage) when length > range.
std::vector<int32_t> RandomPositions(int64_t length, int64_t range, uint64_t seed, uint64_t stream_id);

// Gives the sample such positions.
void RandomisePositions(Sample& sample, int64_t range, uint64_t seed, uint64_t stream_id);

}  // namespace sputnik
