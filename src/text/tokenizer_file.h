// A tokenizer.json made sense of: every name has become an id, and all of it is checked, so
// that the parts of a tokenizer can trust it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_json.h"

namespace sputnik {

struct TokenizerFile {
  TokenTable names;  // by id, 0 .. size-1 without gaps, as the file spells them
  BpeVocabulary vocabulary;
  std::vector<BpeMerge> merges;   // in the order of their ranks; no pair twice
  std::vector<AddedToken> added;  // by id
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> steps;
  std::vector<PostTemplate> post;
  std::vector<DecoderStep> decoder;
};

// Throws Error (bad input) that starts with `source` when an id is missing, negative, too large or has two owners, when
// a name has two ids, when a byte of a byte-level tokenizer or the unknown token has no token, when a merge needs a
// token that is not there or is there twice, or when a template's id is none of the tokenizer's.
TokenizerFile ResolveTokenizer(const TokenizerJson& json, const std::string& source);

}  // namespace sputnik
