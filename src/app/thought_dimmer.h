// Shows what a model thinks aloud, <think> to </think>, dimmed on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace sputnik {

class ThoughtDimmer {
 public:
  // Text as it comes, cut anywhere; what may be the start of a marker is held back until that is known.
  std::string Push(std::string_view text);
  // The rest, and an end to what is dimmed.
  std::string Finish();

 private:
  std::string held_;
  bool dim_ = false;
};

}  // namespace sputnik
