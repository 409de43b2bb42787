#include "text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "text/code_point.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

constexpr size_t kMaxSteps = 16;

using Kind = NormalizerStep::Kind;

bool IsForm(Kind kind) {
  return kind == Kind::kNfc || kind == Kind::kNfd || kind == Kind::kNfkc || kind == Kind::kNfkd;
}

// One of the four forms, for characters that Unicode 9 has.
class Form {
 public:
  explicit Form(Kind kind) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* form = kind == Kind::kNfc    ? icu::Normalizer2::getNFCInstance(status)
                                   : kind == Kind::kNfd  ? icu::Normalizer2::getNFDInstance(status)
                                   : kind == Kind::kNfkc ? icu::Normalizer2::getNFKCInstance(status)
                                                         : icu::Normalizer2::getNFKDInstance(status);
    known_ = std::make_unique<icu::UnicodeSet>(UNICODE_STRING_SIMPLE("[:age=9.0:]"), status);
    if (U_FAILURE(status)) ThrowFailure("ICU has no normalisation data: {}", u_errorName(status));
    known_->freeze();
    filtered_ = std::make_unique<icu::FilteredNormalizer2>(*form, *known_);
  }
  void Append(std::string_view valid, std::string* text) const {
    UErrorCode status = U_ZERO_ERROR;
    icu::StringByteSink<std::string> sink(text);
    filtered_->normalizeUTF8(0, icu::StringPiece(valid.data(), static_cast<int32_t>(valid.size())), sink, nullptr,
                             status);
    if (U_FAILURE(status)) ThrowFailure("ICU could not normalise a text: {}", u_errorName(status));
  }

 private:
  std::unique_ptr<icu::UnicodeSet> known_;
  std::unique_ptr<icu::FilteredNormalizer2> filtered_;
};

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

}  // namespace

struct Normalizer::Step {
  NormalizerStep spec;
  std::optional<Regex> regex;
  std::optional<Form> form;

  // `valid` is UTF-8 and not empty.
  void Append(std::string_view valid, RegexWorkspace& workspace, std::string* out) const {
    if (form) return form->Append(valid, out);
    if (spec.kind == Kind::kReplace) {
      size_t done = 0;
      regex->ForEachMatch(valid, workspace, [&](size_t begin, size_t end) {
        *out += valid.substr(done, begin - done);
        *out += spec.content;
        done = end;
      });
      *out += valid.substr(done);
      return;
    }
    for (size_t at = 0; at < valid.size();) {
      const Utf8Char next = DecodeUtf8(valid.substr(at));
      AppendLowerCase(next.code_point, out);
      at += static_cast<size_t>(next.length);
    }
  }

  bool Leaves(std::string_view text) const {
    if (spec.kind == Kind::kReplace) return !regex->MayMatch(text);
    return IsForm(spec.kind) && IsAscii(text);
  }
};

Normalizer::~Normalizer() = default;
Normalizer::Normalizer(Normalizer&&) noexcept = default;
Normalizer& Normalizer::operator=(Normalizer&&) noexcept = default;

Normalizer::Normalizer(std::vector<NormalizerStep> steps, const std::string& source) {
  if (steps.size() > kMaxSteps) {
    ThrowBadInput("{}: {} normalizer steps; at most {} are supported", source, steps.size(), kMaxSteps);
  }
  for (NormalizerStep& spec : steps) {
    Step step{std::move(spec), {}, {}};
    if (step.spec.kind == Kind::kReplace) step.regex.emplace(step.spec.pattern, step.spec.literal, source);
    if (IsForm(step.spec.kind)) step.form.emplace(step.spec.kind);
    steps_.push_back(std::move(step));
  }
}

std::string_view Normalizer::Normalize(std::string_view text, RegexWorkspace& workspace, std::string* buffer) const {
  std::string_view now = text;
  std::string next;
  for (const Step& step : steps_) {
    if (now.empty() || step.Leaves(now)) continue;
    const NormalizerStep& spec = step.spec;
    if (spec.kind == Kind::kStrip) {
      if (spec.right) now = now.substr(0, WhiteSpaceStart(now, now.size()));
      if (spec.left) now = now.substr(WhiteSpaceEnd(now, 0));
      continue;
    }
    next.clear();
    if (spec.kind == Kind::kPrepend) {
      next = spec.content;
      next += now;
    } else {
      next.reserve(now.size() + now.size() / 8);
      for (std::string_view rest = now; !rest.empty();) {
        const size_t valid = ValidUtf8Prefix(rest);
        if (valid > 0) step.Append(rest.substr(0, valid), workspace, &next);
        rest.remove_prefix(valid);
        if (rest.empty()) break;
        next += rest[0];
        rest.remove_prefix(1);
      }
    }
    std::swap(*buffer, next);
    now = *buffer;
  }
  return now;
}

}  // namespace sputnik
