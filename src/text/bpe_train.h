// Training a byte-level BPE tokenizer: the most frequent adjacent pair of tokens becomes a new token, again and again,
// counted exactly over all pieces of the text. Ids: the added tokens in their order, the 256 bytes in the order of
// their byte-level characters (text/unicode.h), then one token per merge.
//
// Among equally frequent pairs the one with the smaller left id goes first, then the one with the smaller right id; so
// the result is a pure function of the pieces and their counts, whatever order the documents come in. The trainer of
// the `tokenizers` library breaks ties the same way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/tokenizer_json.h"

namespace sputnik {

struct BpeTrainOptions {
  int64_t vocab_size = 0;    // all tokens, with bytes and added ones
  bool split_digits = true;  // one by one; otherwise in threes from the left
  // Control tokens, first in the vocabulary: marked special, ordinary text where they occur in text.
  std::vector<std::string> special_tokens = {std::string(kBosToken), std::string(kEosToken), std::string(kPadToken),
                                             std::string(kUserToken), std::string(kAssistantToken)};
  // Markers, next in the vocabulary: not marked special, always found in text. One that is listed above, too, is a
  // marker.
  std::vector<std::string> text_tokens = {std::string(kThinkBegin), std::string(kThinkEnd), std::string(kAnswerBegin),
                                          std::string(kAnswerEnd)};
  int64_t min_pair_count = 2;  // rarer pairs do not merge; the vocabulary then ends up smaller than asked for
};

class BpeTrainer {
 public:
  // Throws Error (usage): a vocabulary smaller than 256 + added tokens (the message gives the minimum) or too large, or
  // an added token that is empty, too long, not UTF-8, a single byte, or there twice.
  explicit BpeTrainer(BpeTrainOptions options);
  ~BpeTrainer();

  // Counts the pieces of a document; any bytes are text. Memory grows with distinct pieces, not with the text.
  void Add(std::string_view document);

  // Throws Error (bad input) when there was no text at all.
  TokenizerJson Train() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

TokenizerJson TrainBpe(const BpeTrainOptions& options, std::span<const std::string_view> documents);
// `next` puts a document, valid until the next call, into its argument, or returns false at the end.
TokenizerJson TrainBpe(const BpeTrainOptions& options, const std::function<bool(std::string_view*)>& next);

// Writes tokenizer.json and tokenizer_config.json (chat template, begin, end and padding tokens where they are among
// the added ones) into a folder, which is created if need be; each file atomically.
void SaveTrainedTokenizer(const TokenizerJson& trained, const std::filesystem::path& folder, int64_t model_max_length);

}  // namespace sputnik
