// Ragged tokens without padding. A pretraining batch, a packed RL batch, a prefill chunk and a decode step are all one
// Batch: N tokens in S sequences that never see each other.
#pragma once

#include <cstdint>
#include <vector>

namespace sputnik {

struct Batch {
  std::vector<int32_t> ids;             // [N] token ids
  std::vector<int32_t> positions;       // [N] rotary position of each token
  std::vector<int32_t> sequence_start;  // [S+1] first token of each sequence; ends with N

  // Training and scoring: what each token's output is compared with.
  std::vector<int32_t> targets;  // [N] the id to predict, or -1 for none; empty when nothing is predicted
  std::vector<float> weights;    // [N] weight of each target's log-probability in the objective

  // With a cache (empty without one): sequence s already has context[s] tokens there, and its key block j (of
  // kKeyBlock tokens, counted from the sequence's start) lies in cache page block_table[block_start[s] + j].
  std::vector<int32_t> context;      // [S]
  std::vector<int32_t> block_table;  // pages of all sequences, one after another
  std::vector<int32_t> block_start;  // [S+1] into block_table

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t sequences() const { return sequence_start.empty() ? 0 : static_cast<int64_t>(sequence_start.size()) - 1; }
};

// Randomised positions (Ruoss and others, arXiv 2305.16843): `count` different places of [0, range), ascending, each
// such choice equally likely; a pure function of its arguments. 0 <= count <= range. A sequence that grows while it is
// sampled draws once for the longest it may become and uses the front.
std::vector<int32_t> DrawPositions(int64_t count, int64_t range, uint64_t seed, uint64_t step = 0);

// Attention visits keys in blocks of this many, counted from the start of the sequence; a cache page holds one block.
inline constexpr int64_t kKeyBlock = 16;

}  // namespace sputnik
