// The division of a text into what is learnt from and what is held out: a pure function of the text and the fraction,
// so that whoever learns from a text (the tokenizer first, then the model) leaves out the same part of it.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "data/source.h"

namespace sputnik {

struct SplitOptions {
  SourceOptions source = {};
  double held_out_fraction = 0;  // of the text's bytes, the last of them in reading order; 0: none
};

struct TextPart {
  std::string_view text;  // valid during the call only
  bool held_out;
  bool ends;  // its document ends with it
};

// Calls fn for every document in order: whole, or as two parts if the cut lies within it. The text is read three times
// when part of it is held out: the cut lies at a document's start, or within a document (at a character) where the
// nearest start would move it by more than a hundredth of the text, as with one long file. Errors: a fraction outside
// [0, 1) (usage); those of ForEachDocument, and a text too short to hold a part of it out, known only after the last
// call (bad input).
void ForEachPart(const std::vector<std::filesystem::path>& inputs, const SplitOptions& options,
                 FunctionRef<void(const TextPart& part)> fn);

}  // namespace sputnik
