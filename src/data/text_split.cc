#include "data/text_split.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The cut between training and held-out text, in bytes of all documents counted together.
int64_t PlanCut(const std::vector<fs::path>& inputs, const SplitOptions& options) {
  int64_t total = 0;
  ForEachDocument(inputs, options.source, [&](std::string_view text) { total += static_cast<int64_t>(text.size()); });
  const auto wanted = static_cast<int64_t>(static_cast<double>(total) * (1.0 - options.held_out_fraction));

  int64_t begin = 0, nearest = 0;
  ForEachDocument(inputs, options.source, [&](std::string_view text) {
    if (begin > 0 && std::abs(begin - wanted) < std::abs(nearest - wanted)) nearest = begin;
    begin += static_cast<int64_t>(text.size());
  });
  return nearest > 0 && std::abs(nearest - wanted) * 100 <= total ? nearest : wanted;
}

}  // namespace

void ForEachPart(const std::vector<fs::path>& inputs, const SplitOptions& options,
                 FunctionRef<void(const TextPart&)> fn) {
  const double fraction = options.held_out_fraction;
  if (!(fraction >= 0.0 && fraction < 1.0)) ThrowUsage("held-out fraction {}: must lie in [0, 1)", fraction);
  const bool hold_out = fraction > 0.0;
  const int64_t cut = hold_out ? PlanCut(inputs, options) : std::numeric_limits<int64_t>::max();
  int64_t begin = 0;
  bool any_train = false, any_held_out = false;
  ForEachDocument(inputs, options.source, [&](std::string_view text) {
    const auto size = static_cast<int64_t>(text.size());
    auto here = static_cast<size_t>(std::clamp<int64_t>(cut - begin, 0, size));
    while (here < text.size() && here > 0 && IsContinuation(text[here])) ++here;
    begin += size;
    any_train |= here > 0;
    any_held_out |= here < text.size();
    if (here > 0) fn({.text = text.substr(0, here), .held_out = false, .ends = here == text.size()});
    if (here < text.size()) fn({.text = text.substr(here), .held_out = true, .ends = true});
  });
  if (!any_train || (hold_out && !any_held_out)) {
    ThrowBadInput("{}: too little text to hold out {} of it ({} bytes); give more text or another held-out fraction",
                  inputs[0].string(), fraction, begin);
  }
}

}  // namespace sputnik
