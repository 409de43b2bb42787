// A tokenizer.json made sense of: every name has become an id, every id has its bytes, and all of it is checked, so
// that the parts of a tokenizer can trust it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_json.h"

namespace sputnik {

struct TokenizerFile {
  TokenTable tokens;  // by id, 0 .. size-1 without gaps: the bytes each decodes to
  std::array<int32_t, 256> byte_ids{};
  std::vector<BpeMerge> merges;   // in the order of their ranks; no pair twice
  std::vector<AddedToken> added;  // by id
  std::vector<PreTokenizerStep> steps;
};

// Throws Error (bad input) that starts with `source` when an id is missing, negative, too large or has two owners, when
// a name has two ids, when a byte has no token, or when a merge needs a token that is not there or is there twice.
TokenizerFile ResolveTokenizer(const TokenizerJson& json, const std::string& source);

}  // namespace sputnik
