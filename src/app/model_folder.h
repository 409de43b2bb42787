// A model with its tokenizer, from the folder that a user names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "text/tokenizer.h"

namespace sputnik {

struct ModelFolder {
  std::filesystem::path path;  // the folder with config.json
  std::unique_ptr<Decoder> decoder;
  std::optional<Tokenizer> tokenizer;  // none in folders that hold weights alone

  // Throws Error (bad input) saying that `what` needs a tokenizer and how to do without.
  const Tokenizer& NeedTokenizer(std::string_view what) const;
  // Tokens that end a completion: the tokenizer's, or config.json's where there is none; and all of a list there.
  std::vector<int32_t> StopIds() const;
};

// A run folder (its newest checkpoint), a checkpoint, or a Hugging Face folder. Throws Error (bad input) for a broken
// one, and for a tokenizer with more ids than the model has.
ModelFolder OpenModelFolder(const std::filesystem::path& folder);

// The tokenizer of such a folder, or of one that holds a tokenizer alone (or its tokenizer.json); no weights are read.
Tokenizer OpenTokenizer(const std::filesystem::path& folder);

// "[1, 2, 3]" as token ids. Throws Error (bad input) starting with `source` when it is anything else.
std::vector<int32_t> ParseTokens(std::string_view json, std::string_view source);

// Throws Error (bad input) starting with `source` for an id outside the model's vocabulary.
void CheckTokens(std::span<const int32_t> tokens, const ModelConfig& config, std::string_view source);

}  // namespace sputnik
