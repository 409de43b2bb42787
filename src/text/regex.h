// Regular expressions as tokenizer files hold them: written for Oniguruma, the engine of the `tokenizers` library, run
// by PCRE2. What the two would read differently is translated or refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/thread_pool.h"

namespace sputnik {

// Match buffers; one per thread, for any number of expressions.
class RegexWorkspace {
 public:
  RegexWorkspace();
  ~RegexWorkspace();
  RegexWorkspace(RegexWorkspace&&) noexcept;
  RegexWorkspace& operator=(RegexWorkspace&&) noexcept;

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Regex {
 public:
  // `literal`: the pattern is a plain string. Throws Error (bad input) that names `source` and the pattern when it does
  // not compile, is empty or longer than 64 KiB, or uses what this program does not support.
  Regex(std::string pattern, bool literal, std::string source);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // False: certainly no match. A look at the bytes alone.
  bool MayMatch(std::string_view text) const;

  // Calls match(begin, end) for every match in valid UTF-8, from the left, without overlaps. A match may be empty, but
  // not where the one before it ends. Throws Error (bad input) when the pattern backtracks without end on this text.
  void ForEachMatch(std::string_view text, RegexWorkspace& workspace, FunctionRef<void(size_t, size_t)> match) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sputnik
