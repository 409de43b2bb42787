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
  std::filesystem::path path;  // the folder with config.json, or with adapter_config.json
  std::unique_ptr<Decoder> decoder;
  std::optional<Tokenizer> tokenizer;  // none in folders that hold weights alone

  // Throws Error (bad input) saying that `what` needs a tokenizer and how to do without.
  const Tokenizer& NeedTokenizer(std::string_view what) const;
  // Tokens that end a completion: the tokenizer's, or config.json's where there is none; and all of a list there.
  std::vector<int32_t> StopIds() const;
};

// What a verb will do with a model, as far as its memory depends on it.
struct ModelUse {
  int64_t context = 2048;  // tokens in the cache
  AttentionForm form = AttentionForm::kExpanded;
  std::filesystem::path adapter = {};  // folder of one to put on the model; empty: none but the model's own
};

// A run folder (its newest checkpoint), a checkpoint, a Hugging Face folder, or an adapter's, which names its model.
// Says on the log what memory it needs, and shows how far it is read. Throws Error (bad input) for a broken one, and
// for a tokenizer with more ids than the model has; Error (usage) for one that does not fit into memory.
ModelFolder OpenModelFolder(const std::filesystem::path& folder, const ModelUse& use = {});

// The tokenizer of such a folder, or of one that holds a tokenizer alone (or its tokenizer.json); no weights are read.
Tokenizer OpenTokenizer(const std::filesystem::path& folder);

// "[1, 2, 3]" as token ids. Throws Error (bad input) starting with `source` when it is anything else.
std::vector<int32_t> ParseTokens(std::string_view json, std::string_view source);

// Throws Error (bad input) starting with `source` for an id outside the model's vocabulary.
void CheckTokens(std::span<const int32_t> tokens, const ModelConfig& config, std::string_view source);

}  // namespace sputnik
