#include "text/token_decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

using Kind = DecoderStep::Kind;

// The byte that a token such as <0x0A> stands for, or -1.
int FallbackByte(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  int byte = -1;
  const auto [end, error] = std::from_chars(name.data() + 3, name.data() + 5, byte, 16);
  return error == std::errc() && end == name.data() + 5 && byte >= 0 ? byte : -1;
}

// How many bytes up to `most` times `content` take at the start of the text; at its end.
size_t RunAtStart(std::string_view text, std::string_view content, int64_t most) {
  size_t bytes = 0;
  for (; most > 0 && text.substr(bytes).starts_with(content); --most) bytes += content.size();
  return bytes;
}
size_t RunAtEnd(std::string_view text, std::string_view content, int64_t most) {
  size_t bytes = 0;
  for (; most > 0 && text.substr(0, text.size() - bytes).ends_with(content); --most) bytes += content.size();
  return bytes;
}

std::string ReplaceAll(std::string_view text, std::string_view what, std::string_view by) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(what, at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += by;
    at = found + what.size();
  }
  return out;
}

struct Step {
  DecoderStep spec;
  std::optional<Regex> regex;
};

// What the steps before Fuse make of one token.
std::string OfToken(const std::vector<Step>& steps, std::string_view name, bool verbatim, bool first,
                    RegexWorkspace& workspace) {
  std::string text(name), next;
  for (const Step& step : steps) {
    const DecoderStep& spec = step.spec;
    switch (spec.kind) {
      case Kind::kByteLevel:
        if (!verbatim && ByteLevelToBytes(text, &next)) text.swap(next);
        break;
      case Kind::kByteFallback:
        if (const int byte = FallbackByte(text); byte >= 0) return std::string(1, static_cast<char>(byte));
        break;
      case Kind::kStrip:
        text.erase(0, RunAtStart(text, spec.content, spec.start));
        text.resize(text.size() - RunAtEnd(text, spec.content, spec.stop));
        break;
      case Kind::kReplace: {
        if (!step.regex->MayMatch(text)) break;
        size_t done = 0;
        next.clear();
        step.regex->ForEachMatch(text, workspace, [&](size_t begin, size_t end) {
          next.append(text, done, begin - done).append(spec.content);
          done = end;
        });
        next.append(text, done);
        text.swap(next);
        break;
      }
      case Kind::kMetaspace: text = ReplaceAll(text, spec.content, first && spec.drop_first ? "" : " "); break;
      case Kind::kFuse: break;
    }
  }
  return text;
}

}  // namespace

TokenDecoder::TokenDecoder(std::vector<DecoderStep> steps, const TokenTable& names, const std::vector<bool>& verbatim,
                           const std::string& source) {
  std::vector<Step> of_token;
  bool fused = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    DecoderStep& spec = steps[i];
    if (fused && spec.kind == Kind::kStrip) {
      // Several strips of the text would have to wait for one another; no file has them.
      if ((spec.start > 0 && start_ > 0) || (spec.stop > 0 && stop_ > 0)) {
        ThrowBadInput("{}: decoder: a second Strip of the whole text is not supported", source);
      }
      if (spec.start > 0) strip_start_ = spec.content, start_ = spec.start;
      if (spec.stop > 0) strip_stop_ = spec.content, stop_ = spec.stop;
      continue;
    }
    if (fused && spec.kind != Kind::kFuse) {
      ThrowBadInput("{}: decoder: a step other than Strip after ByteLevel or Fuse is not supported", source);
    }
    fused |= spec.kind == Kind::kFuse || spec.kind == Kind::kByteLevel;
    if (spec.kind == Kind::kFuse) continue;
    first_differs_ |= spec.kind == Kind::kMetaspace && spec.drop_first;
    Step step{std::move(spec), {}};
    if (step.spec.kind == Kind::kReplace) step.regex.emplace(step.spec.pattern, step.spec.literal, source);
    of_token.push_back(std::move(step));
  }
  RegexWorkspace workspace;
  bytes_.bytes.reserve(names.bytes.size());
  bytes_.starts.reserve(names.starts.size());
  for (int32_t id = 0; id < names.size(); ++id) {
    const bool as_is = verbatim[static_cast<size_t>(id)];
    bytes_.Add(OfToken(of_token, names[id], as_is, false, workspace));
    if (first_differs_) first_bytes_.Add(OfToken(of_token, names[id], as_is, true, workspace));
  }
}

void TokenDecoder::Append(int32_t id, State* state, std::string* text) const {
  std::string_view bytes = state->first && first_differs_ ? first_bytes_[id] : bytes_[id];
  state->first = false;
  while (state->at_start && !bytes.empty()) {
    if (state->stripped < start_ && bytes.starts_with(strip_start_)) {
      bytes.remove_prefix(strip_start_.size());
      ++state->stripped;
    } else {
      state->at_start = false;
    }
  }
  if (stop_ == 0) {
    *text += bytes;
    return;
  }
  state->held += bytes;
  const size_t kept = state->held.size() - RunAtEnd(state->held, strip_stop_, stop_);
  text->append(state->held, 0, kept);
  state->held.erase(0, kept);
}

}  // namespace sputnik
