// The steps of a tokenizer.json beside its model: normalizer, pre_tokenizer, post_processor, decoder. Whatever has no
// step here is refused by name: Error (bad input) that starts with `source`.
// Heavy to compile (base/json.h): include in .cc files only.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"

namespace sputnik {

std::vector<NormalizerStep> ReadNormalizer(const Json& json, const std::string& source);

// `byte_level`: the last step turns bytes into byte-level characters, which this program leaves as bytes.
std::vector<PreTokenizerStep> ReadPreTokenizer(const Json& json, const std::string& source, bool* byte_level);

// The templates for single texts; their ids may be any that are not negative.
std::vector<PostTemplate> ReadPostProcessor(const Json& json, const std::string& source);

std::vector<DecoderStep> ReadDecoder(const Json& json, const std::string& source);

}  // namespace sputnik
