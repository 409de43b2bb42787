#include "app/thought_dimmer.h"

#include <algorithm>

#include "text/added_tokens.h"

namespace sputnik {
namespace {

constexpr std::string_view kDim = "\x1b[2m", kPlain = "\x1b[0m";

// The longest end of `text` that is a start of `marker`, but not all of it.
size_t StartAtEnd(std::string_view text, std::string_view marker) {
  for (size_t length = std::min(text.size(), marker.size() - 1); length > 0; --length) {
    if (text.ends_with(marker.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::string ThoughtDimmer::Push(std::string_view text) {
  held_ += text;
  std::string shown;
  for (;;) {
    const std::string_view marker = dim_ ? kThinkEnd : kThinkBegin;
    const size_t at = held_.find(marker);
    if (at == held_.npos) {
      const size_t ready = held_.size() - StartAtEnd(held_, marker);
      shown += held_.substr(0, ready);
      held_.erase(0, ready);
      return shown;
    }
    shown += held_.substr(0, at);
    if (!dim_) shown += kDim;
    shown += marker;
    if (dim_) shown += kPlain;
    held_.erase(0, at + marker.size());
    dim_ = !dim_;
  }
}

std::string ThoughtDimmer::Finish() {
  std::string rest = std::move(held_);
  held_.clear();
  if (dim_) rest += kPlain;
  dim_ = false;
  return rest;
}

}  // namespace sputnik
