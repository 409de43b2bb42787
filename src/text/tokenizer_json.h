// The text of the files a byte-level BPE tokenizer lives in, as the Hugging Face libraries read and write them:
// tokenizer.json and, beside it, tokenizer_config.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/pre_tokenizer.h"

namespace sputnik {

inline constexpr int32_t kMaxTokenizerTokens = 1 << 24;

// Many strings in one: string i is bytes [starts[i], starts[i + 1]).
struct TokenTable {
  std::string bytes;
  std::vector<uint64_t> starts{0};

  int32_t size() const { return static_cast<int32_t>(starts.size()) - 1; }
  std::string_view operator[](int32_t i) const {
    const auto at = static_cast<size_t>(i);
    return std::string_view(bytes).substr(starts[at], starts[at + 1] - starts[at]);
  }
  void Add(std::string_view text) {
    bytes += text;
    starts.push_back(bytes.size());
  }
};

// What a tokenizer.json says, not yet checked for sense: names may be missing or meet twice, ids may be anything.
struct TokenizerJson {
  TokenTable names;          // model.vocab in file order, in byte-level characters (text/unicode.h)
  std::vector<int64_t> ids;  // in the same order
  TokenTable merges;         // model.merges: left and right of each, one after the other
  std::vector<AddedToken> added;
  std::vector<PreTokenizerStep> steps;
};

// Reads a BPE model without byte fallback, dropout or affixes; no normalizer; a pre-tokenizer made of Split (isolated),
// Digits and a closing ByteLevel without prefix space; a ByteLevel decoder; a post-processor that adds nothing.
// Truncation and padding are ignored. Anything else is refused by name: Error (bad input) that starts with `source`.
TokenizerJson ParseTokenizerJson(std::string_view json, const std::string& source);

// Writes what ParseTokenizerJson and the `tokenizers` library read alike.
std::string FormatTokenizerJson(const TokenizerJson& file);

struct SpecialTokenNames {
  std::string bos, eos, pad;  // empty: none
};

// The names in a tokenizer_config.json: each a string, an object with `content`, or null.
SpecialTokenNames ParseTokenizerConfig(std::string_view json, const std::string& source);

std::string FormatTokenizerConfig(const SpecialTokenNames& names, std::string_view chat_template,
                                  int64_t model_max_length);

}  // namespace sputnik
