#include "text/pre_tokenizer.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/code_point.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

constexpr size_t kMaxSteps = 16;

using Kind = PreTokenizerStep::Kind;
using MatchFunction = FunctionRef<void(size_t, size_t)>;

template <class Predicate>
void ForEachCharacter(std::string_view text, Predicate is_match, MatchFunction match) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = DecodeUtf8(text.substr(at));
    const size_t end = at + static_cast<size_t>(next.length);
    if (is_match(next.code_point)) match(at, end);
    at = end;
  }
}

void ForEachWord(std::string_view text, MatchFunction match) {
  enum class Class { kSpace, kWord, kOther };
  Class before = Class::kSpace;
  size_t begin = 0, at = 0;
  for (; at < text.size();) {
    const Utf8Char next = DecodeUtf8(text.substr(at));
    const Class here = IsWhiteSpace(next.code_point) ? Class::kSpace
                       : IsWord(next.code_point)     ? Class::kWord
                                                     : Class::kOther;
    if (here != before) {
      if (before != Class::kSpace) match(begin, at);
      begin = at;
      before = here;
    }
    at += static_cast<size_t>(next.length);
  }
  if (before != Class::kSpace) match(begin, at);
}

// Puts together what a behaviour keeps together. It gets all of a text in order, matches and what lies between them,
// also where empty, and gives out non-empty pieces.
class Joiner {
 public:
  Joiner(SplitBehavior behavior, bool invert, MatchFunction piece)
      : behavior_(behavior), invert_(invert), piece_(piece) {}

  void Add(size_t begin, size_t end, bool is_match) {
    is_match ^= invert_;
    if (behavior_ == SplitBehavior::kRemoved) {
      if (!is_match && begin < end) piece_(begin, end);
      return;
    }
    const bool joins = open_ && ((behavior_ == SplitBehavior::kContiguous && is_match == last_is_match_) ||
                                 (behavior_ == SplitBehavior::kMergedWithPrevious && is_match && !last_is_match_) ||
                                 (behavior_ == SplitBehavior::kMergedWithNext && !is_match && last_is_match_));
    if (!joins) {
      Finish();
      begin_ = begin;
    }
    end_ = end;
    open_ = true;
    last_is_match_ = is_match;
  }
  void Finish() {
    if (open_ && begin_ < end_) piece_(begin_, end_);
    open_ = false;
  }

 private:
  SplitBehavior behavior_;
  bool invert_;
  MatchFunction piece_;
  bool open_ = false, last_is_match_ = false;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace

struct PreTokenizer::Step {
  PreTokenizerStep spec;
  std::optional<Regex> regex;

  void ForEachMatch(std::string_view text, RegexWorkspace& workspace, MatchFunction match) const {
    switch (spec.kind) {
      case Kind::kPattern: regex->ForEachMatch(text, workspace, match); break;
      case Kind::kDigits: ForEachCharacter(text, IsNumber, match); break;
      case Kind::kPunctuation: ForEachCharacter(text, IsPunctuation, match); break;
      case Kind::kSpaces: ForEachCharacter(text, IsWhiteSpace, match); break;
      case Kind::kWords: ForEachWord(text, match); break;
      case Kind::kPrefixSpace:
      case Kind::kMetaspace: break;
    }
  }
};

struct PreTokenizerWorkspace::Impl {
  RegexWorkspace regex;
  std::vector<std::string> changed;  // by step: the piece that it has changed
};

PreTokenizerWorkspace::PreTokenizerWorkspace() = default;
PreTokenizerWorkspace::~PreTokenizerWorkspace() = default;
PreTokenizerWorkspace::PreTokenizerWorkspace(PreTokenizerWorkspace&&) noexcept = default;
PreTokenizerWorkspace& PreTokenizerWorkspace::operator=(PreTokenizerWorkspace&&) noexcept = default;

PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps, std::string source) : source_(std::move(source)) {
  if (steps.size() > kMaxSteps) {
    ThrowBadInput("{}: {} pre-tokenizer steps; at most {} are supported", source_, steps.size(), kMaxSteps);
  }
  for (PreTokenizerStep& spec : steps) {
    Step step{std::move(spec), {}};
    if (step.spec.kind == Kind::kPattern) step.regex.emplace(step.spec.pattern, step.spec.literal, source_);
    steps_.push_back(std::move(step));
  }
}

PreTokenizerWorkspace PreTokenizer::MakeWorkspace() const {
  PreTokenizerWorkspace workspace;
  workspace.impl_ = std::make_unique<PreTokenizerWorkspace::Impl>();
  workspace.impl_->changed.resize(steps_.size());
  return workspace;
}

// One text on its way through the steps.
struct PreTokenizer::Run {
  const std::vector<Step>& steps;
  PreTokenizerWorkspace::Impl& workspace;
  bool valid;  // UTF-8
  FunctionRef<void(std::string_view)> piece;

  void From(size_t number, std::string_view text, bool first) {
    while (number < steps.size() && Skips(steps[number], text)) ++number;
    if (number == steps.size()) {
      if (!text.empty()) piece(text);
      return;
    }
    const PreTokenizerStep& spec = steps[number].spec;
    if (spec.kind == Kind::kPrefixSpace) {
      std::string& changed = workspace.changed[number];
      changed.assign(1, ' ');
      changed += text;
      From(number + 1, changed, first);
    } else if (spec.kind == Kind::kMetaspace) {
      Metaspace(number, text, first);
    } else if (valid) {
      Cut(number, text, first);
    } else {
      for (size_t at = 0; at < text.size();) {
        const size_t bytes = ValidUtf8Prefix(text.substr(at));
        if (bytes > 0) Cut(number, text.substr(at, bytes), first && at == 0);
        at += bytes;
        if (at == text.size()) break;
        From(number + 1, text.substr(at, 1), first && at == 0);
        ++at;
      }
    }
  }

  static bool Skips(const Step& step, std::string_view text) {
    const PreTokenizerStep& spec = step.spec;
    if (text.empty()) return true;
    if (spec.kind == Kind::kPrefixSpace) return text.starts_with(' ');
    return spec.kind == Kind::kPattern && !(spec.invert && spec.behavior == SplitBehavior::kRemoved) &&
           !step.regex->MayMatch(text);
  }

  void Cut(size_t number, std::string_view text, bool first) {
    const Step& step = steps[number];
    size_t done = 0;
    if (step.spec.behavior == SplitBehavior::kIsolated) {  // what nearly all files say
      step.ForEachMatch(text, workspace.regex, [&](size_t begin, size_t end) {
        if (begin > done) From(number + 1, text.substr(done, begin - done), first && done == 0);
        if (end > begin) From(number + 1, text.substr(begin, end - begin), first && begin == 0);
        done = end;
      });
      if (done < text.size()) From(number + 1, text.substr(done), first && done == 0);
      return;
    }
    const auto next = [&](size_t begin, size_t end) {
      From(number + 1, text.substr(begin, end - begin), first && begin == 0);
    };
    Joiner joiner(step.spec.behavior, step.spec.invert, next);
    step.ForEachMatch(text, workspace.regex, [&](size_t begin, size_t end) {
      if (begin > done) joiner.Add(done, begin, false);
      joiner.Add(begin, end, true);
      done = end;
    });
    if (done < text.size()) joiner.Add(done, text.size(), false);
    joiner.Finish();
  }

  void Metaspace(size_t number, std::string_view text, bool first) {
    const PreTokenizerStep& spec = steps[number].spec;
    const std::string& mark = spec.pattern;
    std::string& changed = workspace.changed[number];
    changed.clear();
    const bool wanted = spec.prepend == PrependScheme::kAlways || (spec.prepend == PrependScheme::kFirst && first);
    if (wanted && !text.starts_with(' ') && !text.starts_with(mark)) changed += mark;
    for (size_t at = 0; at < text.size();) {
      const size_t space = std::min(text.find(' ', at), text.size());
      changed += text.substr(at, space - at);
      if (space < text.size()) changed += mark;
      at = space + 1;
    }
    const std::string_view whole = changed;
    if (!spec.cut) return From(number + 1, whole, first);
    for (size_t begin = 0; begin < whole.size();) {
      const size_t end = std::min(whole.find(mark, begin + 1), whole.size());
      From(number + 1, whole.substr(begin, end - begin), first && begin == 0);
      begin = end;
    }
  }
};

void PreTokenizer::Split(std::string_view text, bool first, PreTokenizerWorkspace& workspace,
                         FunctionRef<void(std::string_view)> piece) const {
  Run{steps_, *workspace.impl_, IsValidUtf8(text), piece}.From(0, text, first);
}

}  // namespace sputnik
