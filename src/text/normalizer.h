// Changes text before it is cut into pieces, as the normalizers of the `tokenizers` library do.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace sputnik {

struct NormalizerStep {
  enum class Kind {
    kNfc,  // the four normalisation forms, of Unicode 9, as the library has them: younger characters stay as they are
    kNfd,
    kNfkc,
    kNfkd,
    kPrepend,    // `content` before what is not empty
    kReplace,    // each match of `pattern` by `content`
    kLowercase,  // character by character
    kStrip,      // white space at the start and at the end
  };
  Kind kind = Kind::kNfc;
  std::string pattern{}, content{};
  bool literal = false;  // the pattern is a plain string
  bool left = false, right = false;
};

class Normalizer {
 public:
  // Throws Error (bad input) that names `source` for a pattern that Regex refuses (text/regex.h) or too many steps.
  Normalizer(std::vector<NormalizerStep> steps, const std::string& source);
  ~Normalizer();
  Normalizer(Normalizer&&) noexcept;
  Normalizer& operator=(Normalizer&&) noexcept;

  // The text that `text` becomes: itself, or what `buffer` then holds. Bytes that are not part of valid UTF-8 stay as
  // they are, and what is before and after them is looked at apart. Throws as Regex does.
  std::string_view Normalize(std::string_view text, RegexWorkspace& workspace, std::string* buffer) const;

 private:
  struct Step;
  std::vector<Step> steps_;
};

}  // namespace sputnik
