#include "app/windows.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "data/positions.h"

namespace sputnik {

std::vector<Batch> SplitWindows(const Batch& batch, int64_t micro_batch_tokens) {
  if (batch.tokens() <= micro_batch_tokens) return {batch};
  std::vector<Batch> parts;
  Batch part;
  const auto flush = [&] {
    if (part.tokens() > 0) parts.push_back(std::exchange(part, {}));
  };
  for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
    const int32_t begin = batch.sequence_start[s], end = batch.sequence_start[s + 1];
    if (part.tokens() + end - begin > micro_batch_tokens) flush();
    if (part.sequence_start.empty()) part.sequence_start.push_back(0);
    const auto copy = [&](const auto& from, auto& to) {
      to.insert(to.end(), from.begin() + begin, from.begin() + end);
    };
    copy(batch.ids, part.ids);
    copy(batch.positions, part.positions);
    copy(batch.targets, part.targets);
    copy(batch.weights, part.weights);
    part.sequence_start.push_back(static_cast<int32_t>(part.ids.size()));
  }
  flush();
  return parts;
}

void RandomiseWindows(Batch& batch, const ModelConfig& model, uint64_t seed, int64_t step) {
  for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
    const int32_t begin = batch.sequence_start[s], end = batch.sequence_start[s + 1];
    const std::vector<int32_t> drawn =
        RandomPositions(end - begin, model.position_range, seed, HashCombine(static_cast<uint64_t>(step), s));
    std::copy(drawn.begin(), drawn.end(), batch.positions.begin() + begin);
  }
}

}  // namespace sputnik
