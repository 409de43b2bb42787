#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

constexpr size_t kMaxPatternBytes = 64 << 10;
constexpr size_t kMaxSteps = 16;

// Unicode's White_Space as the inside of a class. PCRE2's own \s has U+180E too, which left that set in Unicode 6.3.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Rewrites a pattern from Oniguruma's dialect to PCRE2's. What both read alike passes through; \s and \S are spelled
// out; constructs that both accept but read differently, or that have no place in a tokenizer, are refused by name.
class DialectTranslator {
 public:
  DialectTranslator(std::string_view pattern, std::string_view source) : pattern_(pattern), source_(source) {}

  std::string Translate() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        Escape();
      } else if (in_class_) {
        ClassCharacter(c);
      } else {
        Character(c);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    ThrowBadInput("{}: the pre-tokenizer's regex {} uses {}, which this program does not support", source_, pattern_,
                  what);
  }

  void Escape() {
    if (at_ + 1 == pattern_.size()) Refuse("a backslash at its end");
    const char c = pattern_[at_ + 1];
    if (c == 's' || c == 'S') {
      if (in_class_ && c == 'S') Refuse("\\S inside a class");
      if (in_class_) {
        out_ += kWhiteSpace;
      } else {
        out_ += c == 's' ? "[" : "[^";
        out_ += kWhiteSpace;
        out_ += ']';
      }
      at_ += 2;
      return;
    }
    const bool letter_or_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter_or_digit && std::string_view("pPrntfvx").find(c) == std::string_view::npos) {
      Refuse(fmt::format("\\{}", c));
    }
    if (c == 'v') {  // a class in PCRE2, the vertical tab in Oniguruma
      out_ += "\\x{0B}";
      at_ += 2;
      return;
    }
    size_t length = 2;
    if (letter_or_digit && pattern_.substr(at_ + 2).starts_with('{')) {  // a property or a code point
      const size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) Refuse("a brace that is not closed");
      length = close + 1 - at_;
    }
    out_ += pattern_.substr(at_, length);
    at_ += length;
  }

  void ClassCharacter(char c) {
    if (c == '[') Refuse("a class within a class");
    if (c == '&' && pattern_.substr(at_).starts_with("&&")) Refuse("an intersection of classes");
    if (c == ']') in_class_ = false;
    out_ += c;
    ++at_;
  }

  void Character(char c) {
    if (c == '^' || c == '$' || c == '.') Refuse(fmt::format("'{}' outside a class", c));
    // PCRE2 takes {1,3}+ as possessive, Oniguruma as a repetition of the repetition.
    if (c == '}' && pattern_.substr(at_).starts_with("}+")) Refuse("'+' after an interval");
    if (c == '[') {
      in_class_ = true;
      out_ += c;
      ++at_;
      if (at_ < pattern_.size() && pattern_[at_] == '^') {
        out_ += '^';
        ++at_;
      }
      if (at_ < pattern_.size() && pattern_[at_] == ']') Refuse("a class that starts with ']'");
      return;
    }
    if (c == '(') {
      constexpr std::array<std::string_view, 7> kGroups = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
      const auto group = std::find_if(kGroups.begin(), kGroups.end(),
                                      [&](std::string_view g) { return pattern_.substr(at_).starts_with(g); });
      if (group != kGroups.end()) {
        out_ += *group;
        at_ += group->size();
        return;
      }
      if (pattern_.substr(at_).starts_with("(?") || pattern_.substr(at_).starts_with("(*")) {
        Refuse(fmt::format("the group {}", pattern_.substr(at_, 3)));
      }
    }
    out_ += c;
    ++at_;
  }

  std::string_view pattern_, source_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

std::string PcreMessage(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct JitStackDeleter {
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

}  // namespace

struct PreTokenizer::Pattern {
  std::string text;  // as the file has it
  std::unique_ptr<pcre2_code, CodeDeleter> code;
  bool jit = false;
  std::array<bool, 256> starts{};  // bytes that a match may start with

  bool MayMatch(std::string_view piece) const {
    return std::any_of(piece.begin(), piece.end(), [this](char c) { return starts[static_cast<uint8_t>(c)]; });
  }
};

struct PreTokenizerWorkspace::Impl {
  std::unique_ptr<pcre2_match_context, MatchContextDeleter> context;
  std::unique_ptr<pcre2_jit_stack, JitStackDeleter> stack;
  std::vector<std::unique_ptr<pcre2_match_data, MatchDataDeleter>> match;  // one per step
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
  for (PreTokenizerStep& step : steps) {
    if (step.pattern.empty()) ThrowBadInput("{}: a pre-tokenizer's pattern is empty", source_);
    if (step.pattern.size() > kMaxPatternBytes) {
      ThrowBadInput("{}: a pre-tokenizer's regex has {} bytes; at most {} are supported", source_, step.pattern.size(),
                    kMaxPatternBytes);
    }
    const std::string translated = step.literal ? step.pattern : DialectTranslator(step.pattern, source_).Translate();
    const uint32_t options = PCRE2_UTF | (step.literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    int error = 0;
    size_t where = 0;
    Pattern pattern;
    pattern.text = std::move(step.pattern);
    pattern.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options,
                                     &error, &where, nullptr));
    if (pattern.code == nullptr) {
      ThrowBadInput("{}: the pre-tokenizer's regex {} does not compile: {}", source_, pattern.text, PcreMessage(error));
    }
    pattern.jit = pcre2_jit_compile(pattern.code.get(), PCRE2_JIT_COMPLETE) == 0;
    const uint8_t* bitmap = nullptr;
    pcre2_pattern_info(pattern.code.get(), PCRE2_INFO_FIRSTBITMAP, &bitmap);
    for (size_t byte = 0; byte < 256; ++byte) {
      pattern.starts[byte] = bitmap == nullptr || (bitmap[byte / 8] >> (byte % 8) & 1) != 0;
    }
    patterns_.push_back(std::move(pattern));
  }
}

PreTokenizerWorkspace PreTokenizer::MakeWorkspace() const {
  PreTokenizerWorkspace workspace;
  workspace.impl_ = std::make_unique<PreTokenizerWorkspace::Impl>();
  auto& impl = *workspace.impl_;
  impl.context.reset(pcre2_match_context_create(nullptr));
  impl.stack.reset(pcre2_jit_stack_create(size_t{32} << 10, size_t{4} << 20, nullptr));
  if (impl.context == nullptr || impl.stack == nullptr) ThrowFailure("out of memory for regular expressions");
  pcre2_jit_stack_assign(impl.context.get(), nullptr, impl.stack.get());
  pcre2_set_heap_limit(impl.context.get(), 1u << 20);  // KiB
  for (const Pattern& pattern : patterns_) {
    impl.match.emplace_back(pcre2_match_data_create_from_pattern(pattern.code.get(), nullptr));
    if (impl.match.back() == nullptr) ThrowFailure("out of memory for regular expressions");
  }
  return workspace;
}

void PreTokenizer::Split(std::string_view text, PreTokenizerWorkspace& workspace,
                         FunctionRef<void(std::string_view)> piece) const {
  // Backtracking over one run of white space is linear in its length; anything far beyond that is a runaway pattern.
  constexpr size_t kLeastLimit = 10'000'000, kLimitPerByte = 64;
  pcre2_set_match_limit(
      workspace.impl_->context.get(),
      static_cast<uint32_t>(std::clamp(text.size() * kLimitPerByte, kLeastLimit, size_t{UINT32_MAX})));
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    if (valid > 0) SplitFrom(0, text.substr(0, valid), workspace, piece);
    text.remove_prefix(valid);
    if (text.empty()) break;
    piece(text.substr(0, 1));
    text.remove_prefix(1);
  }
}

void PreTokenizer::SplitFrom(size_t step, std::string_view text, PreTokenizerWorkspace& workspace,
                             FunctionRef<void(std::string_view)> piece) const {
  while (step < patterns_.size() && !patterns_[step].MayMatch(text)) ++step;
  if (step == patterns_.size()) {
    if (!text.empty()) piece(text);
    return;
  }
  const Pattern& pattern = patterns_[step];
  auto& impl = *workspace.impl_;
  pcre2_match_data* match = impl.match[step].get();
  const size_t* span = pcre2_get_ovector_pointer(match);
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t done = 0;
  while (done < text.size()) {
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    if (pattern.jit) {
      found =
          pcre2_jit_match(pattern.code.get(), subject, text.size(), done, PCRE2_NOTEMPTY, match, impl.context.get());
    }
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // no just-in-time code, or too little stack for it
      found = pcre2_match(pattern.code.get(), subject, text.size(), done,
                          PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, impl.context.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      ThrowBadInput("{}: the pre-tokenizer's regex {} gave up on a text of {} bytes: {}", source_, pattern.text,
                    text.size(), PcreMessage(found));
    }
    const size_t begin = span[0], end = span[1];
    if (begin > done) SplitFrom(step + 1, text.substr(done, begin - done), workspace, piece);
    SplitFrom(step + 1, text.substr(begin, end - begin), workspace, piece);
    done = end;
  }
  if (done < text.size()) SplitFrom(step + 1, text.substr(done), workspace, piece);
}

}  // namespace sputnik
