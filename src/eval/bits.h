// How well a model predicts held-out text, in units that do not depend on the tokenizer.
#pragma once

#include "data/shard.h"
#include "model/decoder.h"

namespace sputnik {

struct BitsOptions {
  int64_t context = 256;       // tokens a window sees at most
  int64_t stride = 0;          // tokens each window scores: its last ones, so that each sees at least context - stride
                               // before it; 0: all of it, windows side by side
  bool document_mask = false;  // with stride 0 only: windows are split where documents start
  int64_t max_tokens = 0;      // score only the first so many; 0: all
};

struct BitsResult {
  double nats = 0;        // Σ -log p over all scored tokens
  int64_t tokens = 0;     // scored
  double text_share = 0;  // scored share of the shard's tokens

  double NatsPerToken() const { return nats / static_cast<double>(tokens); }
  double BitsPerByte(const Shard& shard) const;
  double NatsPerCharacter(const Shard& shard) const;
};

// Predicts every token of the shard but the first exactly once.
BitsResult EvaluateShard(const Decoder& decoder, const Machine& machine, const Shard& shard,
                         const BitsOptions& options);

}  // namespace sputnik
