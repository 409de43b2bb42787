// Cuts text into the pieces that byte pair encoding works within, by a sequence of regular expressions: each step cuts
// every piece of the step before into its matches and what lies between them (the "Isolated" behaviour of Hugging
// Face).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace sputnik {

struct PreTokenizerStep {
  std::string pattern;
  bool literal = false;  // the pattern is a plain string
};

// Match buffers; one per thread and per pre-tokenizer.
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
  // Compiles the patterns. They are read as Oniguruma reads them (the engine of the `tokenizers` library); a construct
  // that PCRE2 would read differently is refused. Throws Error (bad input) that names `source` and the pattern.
  PreTokenizer(std::vector<PreTokenizerStep> steps, std::string source);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  PreTokenizerWorkspace MakeWorkspace() const;

  // Calls `piece` with every non-empty piece of `text`, in order; together they are the text, whatever bytes it holds:
  // a byte that is not part of a valid UTF-8 character ends what is before it and is a piece of its own. Throws Error
  // (bad input) when a pattern backtracks without end on this text.
  void Split(std::string_view text, PreTokenizerWorkspace& workspace, FunctionRef<void(std::string_view)> piece) const;

 private:
  struct Pattern;
  void SplitFrom(size_t step, std::string_view text, PreTokenizerWorkspace& workspace,
                 FunctionRef<void(std::string_view)> piece) const;

  std::vector<Pattern> patterns_;
  std::string source_;
};

}  // namespace sputnik
