// sputnik score: the log-probability that a model gives each token of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "model/decoder.h"
#include "op/pass.h"

namespace sputnik {

ExitCode RunScore(CommandLine& line);

struct TokenScores {
  std::vector<float> logprobs;                              // [n], natural log; the first is 0: nothing precedes it
  std::vector<std::vector<std::pair<int32_t, float>>> top;  // [n][k] the likeliest in each place; the first is empty
};

// Scores sequences one after another through a cache, in chunks, so that memory does not grow with activations; the
// bits are those of the engine, and in the expanded form those of training.
class Scorer {
 public:
  Scorer(const Decoder& decoder, const Machine& machine, AttentionForm form)
      : decoder_(decoder), machine_(machine), form_(form) {}

  // Ids in the vocabulary, at most LongestSequence of them. Throws Error (numeric) when the model's output is not
  // finite.
  TokenScores Score(std::span<const int32_t> tokens, int64_t top);

 private:
  void ScoreChunk(std::span<const int32_t> tokens, int64_t begin, int64_t end, int64_t top, TokenScores& scores);

  const Decoder& decoder_;
  Machine machine_;
  AttentionForm form_;
  Arena arena_;
  std::unique_ptr<KvCache> cache_;
  std::vector<int32_t> positions_;
};

}  // namespace sputnik
