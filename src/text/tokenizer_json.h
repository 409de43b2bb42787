// The text of the files a BPE tokenizer lives in, as the Hugging Face libraries read and write them:
// tokenizer.json and, beside it, tokenizer_config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"
#include "text/token_table.h"

namespace sputnik {

inline constexpr int32_t kMaxTokenizerTokens = 1 << 24;

// What a tokenizer.json says, not yet checked for sense: names may be missing or meet twice, ids may be anything.
struct TokenizerJson {
  TokenTable names;          // model.vocab in file order; with byte_level, in byte-level characters (text/unicode.h)
  std::vector<int64_t> ids;  // in the same order
  TokenTable merges;         // model.merges: left and right of each, one after the other
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> steps;
  bool byte_level = true;  // pieces are byte-level characters: the pre-tokenizer ends with ByteLevel
  bool byte_fallback = false, fuse_unknown = false, ignore_merges = false;
  std::string unknown;  // model.unk_token; empty: none
  std::vector<PostTemplate> post;
  std::vector<DecoderStep> decoder{DecoderStep{}};  // ByteLevel
};

// Reads a BPE model without dropout or affixes, and the steps of text/pipeline_json.h. Truncation and padding are
// ignored. Anything else, a key that is not known too, is refused by name: Error (bad input) that starts with `source`.
TokenizerJson ParseTokenizerJson(std::string_view json, const std::string& source);

// Writes what ParseTokenizerJson and the `tokenizers` library read alike. For what this program trains: byte-level, cut
// by isolated patterns.
std::string FormatTokenizerJson(const TokenizerJson& file);

struct SpecialTokenNames {
  std::string bos{}, eos{}, pad{};  // empty: none
  // The two keys of that name. If either is there, they decide what stands around a text, and tokenizer.json does not.
  std::optional<bool> add_bos{}, add_eos{};
};

// The names in a tokenizer_config.json: each a string, an object with `content`, or null.
SpecialTokenNames ParseTokenizerConfig(std::string_view json, const std::string& source);

std::string FormatTokenizerConfig(const SpecialTokenNames& names, std::string_view chat_template,
                                  int64_t model_max_length);

}  // namespace sputnik
