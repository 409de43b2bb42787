#include "data/loader.h"

#include <algorithm>
#include <limits>
#include <span>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"

namespace sputnik {
namespace {

uint64_t EpochKey(uint64_t seed, int64_t epoch) {
  return HashCombine(HashCombine(seed, kStreamDataOrder), static_cast<uint64_t>(epoch));
}

// The place within an epoch's `n` of the `index`-th item since the start.
int64_t InEpochOrder(int64_t n, int64_t index, uint64_t seed) {
  return static_cast<int64_t>(
      PermutedIndex(static_cast<uint64_t>(n), static_cast<uint64_t>(index % n), EpochKey(seed, index / n)));
}

void AppendRange(const Shard& shard, int64_t begin, int64_t end, int64_t context, bool document_mask, Batch& batch) {
  const auto count = static_cast<size_t>(end - begin);
  const size_t first = batch.ids.size();
  CHECK_LE(first + count, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  batch.ids.resize(first + count);
  batch.targets.resize(first + count, -1);
  batch.weights.resize(first + count, 1.0f);
  shard.Read(begin, std::span(batch.ids).subspan(first));
  const auto targets = std::min(count, static_cast<size_t>(shard.tokens() - begin - 1));
  shard.Read(begin + 1, std::span(batch.targets).subspan(first, targets));
  if (targets < count) batch.weights.back() = 0.0f;

  const std::span<const uint64_t> starts = shard.document_starts();
  auto document = std::upper_bound(starts.begin(), starts.end(), static_cast<uint64_t>(begin));
  int64_t sequence = begin;
  for (int64_t i = begin; i < end; ++i) {
    const bool starts_document = document != starts.end() && *document == static_cast<uint64_t>(i);
    if (starts_document) ++document;
    if (i > begin && (i - sequence == context || (document_mask && starts_document))) {
      sequence = i;
      batch.sequence_start.push_back(static_cast<int32_t>(first + static_cast<size_t>(i - begin)));
    }
    batch.positions.push_back(static_cast<int32_t>(i - sequence));
  }
  batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
}

}  // namespace

PretrainLoader::PretrainLoader(const Shard& shard, const LoaderOptions& options) : shard_(shard), options_(options) {
  const int64_t context = options.context;
  if (context <= 0) ThrowUsage("context {}: must be positive", context);
  if (options.batch_tokens <= 0 || options.batch_tokens % context != 0) {
    const int64_t below = std::max(context, options.batch_tokens / context * context);
    ThrowUsage("a batch of {} tokens is no multiple of the context of {}; take {} or {}", options.batch_tokens, context,
               below, below + context);
  }
  const int64_t lost_to_shift = options.shift ? context - 1 : 0;
  windows_ = (shard.tokens() - 1 - lost_to_shift) / context;
  if (shard.tokens() < context + 1 || windows_ < 1) {
    ThrowBadInput("{}: {} tokens are too few for one window of {}; give more text or a shorter context",
                  shard.path().string(), shard.tokens(), context + 1 + lost_to_shift);
  }
}

int64_t PretrainLoader::WindowStart(int64_t index) const {
  CHECK_GE(index, 0);
  const int64_t window = InEpochOrder(windows_, index, options_.seed);
  int64_t offset = 0;
  if (options_.shift) {
    Random random(options_.seed, kStreamDataOrder, static_cast<uint64_t>(index / windows_));
    offset = static_cast<int64_t>(random.Below(static_cast<uint64_t>(options_.context)));
  }
  return offset + window * options_.context;
}

Batch PretrainLoader::Get(int64_t step) const {
  CHECK_GE(step, 0);
  Batch batch;
  batch.sequence_start.push_back(0);
  for (int64_t i = 0; i < windows_per_step(); ++i) {
    const int64_t begin = WindowStart(step * windows_per_step() + i);
    AppendRange(shard_, begin, begin + options_.context, options_.context, options_.document_mask, batch);
  }
  return batch;
}

double PretrainLoader::EpochOf(int64_t step) const {
  return static_cast<double>(step) * static_cast<double>(windows_per_step()) / static_cast<double>(windows_);
}

Batch ReadRange(const Shard& shard, int64_t begin, int64_t end, int64_t context, bool document_mask) {
  CHECK(0 <= begin && begin < end && end <= shard.tokens());
  CHECK_GT(context, 0);
  Batch batch;
  batch.sequence_start.push_back(0);
  AppendRange(shard, begin, end, context, document_mask, batch);
  return batch;
}

SampleLoader::SampleLoader(int64_t samples, uint64_t seed) : samples_(samples), seed_(seed) {
  if (samples <= 0) ThrowUsage("no samples to learn from; give at least one");
}

std::vector<int64_t> SampleLoader::Get(int64_t step, int64_t count) const {
  CHECK_GE(step, 0);
  CHECK_GT(count, 0);
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(InEpochOrder(samples_, step * count + i, seed_));
  return chosen;
}

}  // namespace sputnik
