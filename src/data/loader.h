// Which data each training step sees: a pure function of (seed, step), so that a resumed run continues where it was
// without any saved state, and of nothing that the machine decides.
#pragma once

#include <cstdint>
#include <vector>

#include "data/shard.h"
#include "tensor/batch.h"

namespace sputnik {

struct LoaderOptions {
  int64_t context = 0;       // tokens in a window
  int64_t batch_tokens = 0;  // tokens in a step's batch, a multiple of `context`
  uint64_t seed = 0;
  bool document_mask = false;  // no token sees another document: windows are split where documents start
  bool shift = false;          // each epoch cuts its windows from another offset below `context`
};

// Windows of `context` tokens, one after another through the shard; each epoch visits them all once, in an order of its
// own (PermutedIndex). A batch may span the end of an epoch.
class PretrainLoader {
 public:
  // The shard must outlive the loader. Errors: context or batch size not positive, a batch that is no multiple of the
  // context (usage); a shard with fewer than context + 1 tokens (bad input).
  PretrainLoader(const Shard& shard, const LoaderOptions& options);

  Batch Get(int64_t step) const;

  int64_t windows_per_epoch() const { return windows_; }
  int64_t windows_per_step() const { return options_.batch_tokens / options_.context; }
  double EpochOf(int64_t step) const;        // epochs that are complete before `step`, with a fraction
  int64_t WindowStart(int64_t index) const;  // first token of the `index`-th window since the start of training

 private:
  const Shard& shard_;
  LoaderOptions options_;
  int64_t windows_;
};

// Tokens [begin, end) of the shard in order, in sequences of at most `context` tokens that do not see each other, split
// at documents' starts too with `document_mask`. Positions count from 0 in each sequence. Every token's target is the
// shard's next one, also across a split, with weight 1: so each token but the shard's first is predicted exactly once
// (a document's first from the end of the one before). The shard's last token has target -1 and weight 0. For
// evaluation over a whole shard: consecutive ranges that begin at multiples of `context` and end at such or at
// tokens().
Batch ReadRange(const Shard& shard, int64_t begin, int64_t end, int64_t context, bool document_mask);

// The same order for samples that have no shard (supervised fine-tuning): which of `samples` step `step` takes when
// every step takes `count`. An epoch visits each sample once.
class SampleLoader {
 public:
  SampleLoader(int64_t samples, uint64_t seed);  // usage Error when there is no sample
  std::vector<int64_t> Get(int64_t step, int64_t count) const;

 private:
  int64_t samples_;
  uint64_t seed_;
};

}  // namespace sputnik
