// How well a model predicts held-out text, in units that do not depend on the tokenizer.
// Intervals (95%) are of what another text of the same kind would give. Tokens of a document hang together, so whole
// documents count as drawn at random, each scored token in the document that it belongs to; where fewer than 30
// documents were scored (one long file), stretches of `context` consecutive tokens take their place, as though
// neighbouring stretches were independent. Per byte and per character they scale with the mean: the number of bytes of
// a token is taken as the text's own. Too short a text has none (kFewestClusters).
#pragma once

#include <optional>

#include "data/shard.h"
#include "eval/confidence.h"
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
  double nats = 0;                    // Σ -log p over all scored tokens
  int64_t tokens = 0;                 // scored
  double text_share = 0;              // scored share of the shard's tokens
  std::optional<Interval> ci95 = {};  // of NatsPerToken()
  bool by_document = false;           // the interval's clusters are documents

  double NatsPerToken() const { return nats / static_cast<double>(tokens); }
  double BitsPerByte(const Shard& shard) const;
  double NatsPerCharacter(const Shard& shard) const;
  // The interval of a figure that is a multiple of NatsPerToken().
  std::optional<Interval> IntervalOf(double figure) const;
};

// Predicts every token of the shard but the first exactly once.
BitsResult EvaluateShard(const Decoder& decoder, const Machine& machine, const Shard& shard,
                         const BitsOptions& options);

}  // namespace sputnik
