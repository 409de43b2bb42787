// A tokenizer with one token per byte and no merges, for tests that must know every id.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "text/bpe_train.h"
#include "text/tokenizer.h"

namespace sputnik {

// Writes the files into `folder` and loads them. Some text is needed by the trainer, which merges nothing of it.
inline Tokenizer MakeByteTokenizer(const std::filesystem::path& folder) {
  BpeTrainOptions options;
  options.vocab_size = 256 + static_cast<int64_t>(options.special_tokens.size() + options.text_tokens.size());
  const std::vector<std::string_view> documents = {"abc"};
  SaveTrainedTokenizer(TrainBpe(options, documents), folder, 1024);
  return Tokenizer::Load(folder);
}

}  // namespace sputnik
