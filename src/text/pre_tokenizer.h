// Cuts text into the pieces that byte pair encoding works within, by a sequence of steps: each step cuts every piece
// of the step before, as the pre-tokenizers of the `tokenizers` library do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace sputnik {

// What becomes of the matches of a step: a piece each; nothing; the end of the piece before; the start of the piece
// after; one piece with the matches beside them.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

enum class PrependScheme { kAlways, kFirst, kNever };

struct PreTokenizerStep {
  enum class Kind {
    kPattern,      // matches of `pattern`
    kDigits,       // each number is a match
    kPunctuation,  // each punctuation character is a match
    kSpaces,       // each white space is a match
    kWords,        // runs of word characters are matches, and runs of what is neither a word nor white space
    kPrefixSpace,  // no cut: a piece that does not start with a space gets one
    kMetaspace,    // spaces become `pattern`, one is put in front by `prepend`, and each starts a piece with `cut`
  };
  std::string pattern{};
  bool literal = false;  // the pattern is a plain string
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // matches and what lies between them change places
  Kind kind = Kind::kPattern;
  PrependScheme prepend = PrependScheme::kAlways;
  bool cut = true;
};

// Buffers; one per thread and per pre-tokenizer.
class PreTokenizerWorkspace {
 public:
  ~PreTokenizerWorkspace();
  PreTokenizerWorkspace(PreTokenizerWorkspace&&) noexcept;
  PreTokenizerWorkspace& operator=(PreTokenizerWorkspace&&) noexcept;

 private:
  friend class PreTokenizer;
  PreTokenizerWorkspace();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class PreTokenizer {
 public:
  // Throws Error (bad input) that names `source` for a pattern that Regex refuses (text/regex.h) or too many steps.
  PreTokenizer(std::vector<PreTokenizerStep> steps, std::string source);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  PreTokenizerWorkspace MakeWorkspace() const;

  // Calls `piece` with every non-empty piece of `text`, in order. `first`: the text is the start of a document
  // (PrependScheme::kFirst). Any bytes are text: to a step that looks for matches, a byte that is not part of a valid
  // UTF-8 character ends what is before it and is a piece of its own. Throws Error (bad input) when a pattern
  // backtracks without end on this text.
  void Split(std::string_view text, bool first, PreTokenizerWorkspace& workspace,
             FunctionRef<void(std::string_view)> piece) const;

 private:
  struct Step;
  struct Run;
  std::vector<Step> steps_;
  std::string source_;
};

}  // namespace sputnik
