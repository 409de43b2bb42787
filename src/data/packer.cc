#include "data/packer.h"

#include <limits>

#include "base/check.h"

namespace sputnik {
namespace {

void Append(const Sample& sample, Batch& batch) {
  const size_t length = sample.ids.size();
  CHECK_GT(length, 0u);
  CHECK_EQ(sample.target_weights.size(), length);
  CHECK_EQ(sample.target_weights[0], 0.0f);
  CHECK(sample.positions.empty() || sample.positions.size() == length);
  CHECK_LE(batch.ids.size() + length, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  batch.ids.insert(batch.ids.end(), sample.ids.begin(), sample.ids.end());
  // What weighs nothing is no target, so it costs no product with the head either.
  for (size_t i = 1; i < length; ++i) batch.targets.push_back(sample.target_weights[i] != 0.0f ? sample.ids[i] : -1);
  batch.targets.push_back(-1);
  batch.weights.insert(batch.weights.end(), sample.target_weights.begin() + 1, sample.target_weights.end());
  batch.weights.push_back(0.0f);
  if (sample.positions.empty()) {
    for (size_t i = 0; i < length; ++i) batch.positions.push_back(static_cast<int32_t>(i));
  } else {
    batch.positions.insert(batch.positions.end(), sample.positions.begin(), sample.positions.end());
  }
  batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
}

}  // namespace

Batch Pack(std::span<const Sample> samples) {
  Batch batch;
  batch.sequence_start.push_back(0);
  for (const Sample& sample : samples) Append(sample, batch);
  return batch;
}

Batch Pack(std::span<const Sample> samples, std::span<const int64_t> chosen) {
  Batch batch;
  batch.sequence_start.push_back(0);
  for (const int64_t i : chosen) {
    CHECK(i >= 0 && static_cast<size_t>(i) < samples.size());
    Append(samples[static_cast<size_t>(i)], batch);
  }
  return batch;
}

std::vector<std::vector<int64_t>> PlanMicroBatches(std::span<const int64_t> lengths, int64_t max_tokens) {
  CHECK_GT(max_tokens, 0);
  std::vector<std::vector<int64_t>> runs;
  int64_t used = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    CHECK_GE(lengths[i], 0);
    if (runs.empty() || lengths[i] > max_tokens - used) {
      runs.emplace_back();
      used = 0;
    }
    runs.back().push_back(static_cast<int64_t>(i));
    used += lengths[i];
  }
  return runs;
}

}  // namespace sputnik
