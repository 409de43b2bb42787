#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/code_point.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

constexpr size_t kMaxPatternBytes = 64 << 10;

// Unicode's White_Space as the inside of a class. PCRE2's own \s has U+180E too, which left that set in Unicode 6.3.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Categories that both know (of C and Cn, what has been assigned since would have to be taken out) and one script.
constexpr std::array<std::string_view, 34> kProperties = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P",  "Pc", "Pd",
    "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "Cc", "Co", "Han"};

// Rewrites a pattern from Oniguruma's dialect to PCRE2's. What both read alike passes through; \s and \S and properties
// are spelled out; constructs that both accept but read differently, or that have no place in a tokenizer, are refused
// by name.
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
    if (c == 'p' || c == 'P') {
      Property();
      return;
    }
    if (c == 'd') {
      at_ += 2;
      AppendProperty("Nd", false);
      return;
    }
    const bool letter_or_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter_or_digit && std::string_view("rntfvx").find(c) == std::string_view::npos) {
      Refuse(fmt::format("\\{}", c));
    }
    if (c == 'v') {  // a class in PCRE2, the vertical tab in Oniguruma
      out_ += "\\x{0B}";
      at_ += 2;
      return;
    }
    size_t length = 2;
    if (letter_or_digit && pattern_.substr(at_ + 2).starts_with('{')) {  // a code point
      const size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) Refuse("a brace that is not closed");
      length = close + 1 - at_;
    }
    out_ += pattern_.substr(at_, length);
    at_ += length;
  }

  void Property() {
    const bool brace = pattern_.substr(at_ + 2).starts_with('{');
    const size_t close = brace ? pattern_.find('}', at_) : std::string_view::npos;
    if (close == std::string_view::npos) Refuse("a property without braces around its name");
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    bool negated = pattern_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (std::find(kProperties.begin(), kProperties.end(), name) == kProperties.end()) {
      Refuse(fmt::format("the property {}", name));
    }
    if (negated && in_class_) Refuse("a negated property inside a class");
    at_ = close + 1;
    AppendProperty(name, negated);
  }

  void AppendProperty(std::string_view name, bool negated) {
    if (!in_class_) out_ += negated ? "[^" : "[";
    out_ += name == "Han" ? "\\p{sc:Han}" : fmt::format("\\p{{{}}}", name);
    out_ += YoungerThanPcre(name);
    if (!in_class_) out_ += ']';
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
        if (*group == "(?i:") CheckFolding();
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

  // Oniguruma folds some pairs of letters with one character, as "ss" with "ß"; PCRE2 folds none. Whatever the
  // group ends with, the rest of the pattern is looked at, too.
  void CheckFolding() const {
    for (const char* pair : {"ss", "ff", "fi", "fl", "st"}) {
      if (pattern_.find(pair, at_) != std::string_view::npos) {
        Refuse(fmt::format("the letters {} in a pattern that ignores case", pair));
      }
    }
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

struct RegexWorkspace::Impl {
  std::unique_ptr<pcre2_match_context, MatchContextDeleter> context;
  std::unique_ptr<pcre2_jit_stack, JitStackDeleter> stack;
  std::unique_ptr<pcre2_match_data, MatchDataDeleter> match;
};

RegexWorkspace::RegexWorkspace() : impl_(std::make_unique<Impl>()) {
  impl_->context.reset(pcre2_match_context_create(nullptr));
  impl_->stack.reset(pcre2_jit_stack_create(size_t{32} << 10, size_t{4} << 20, nullptr));
  impl_->match.reset(pcre2_match_data_create(1, nullptr));
  if (!impl_->context || !impl_->stack || !impl_->match) ThrowFailure("out of memory for regular expressions");
  pcre2_jit_stack_assign(impl_->context.get(), nullptr, impl_->stack.get());
  pcre2_set_heap_limit(impl_->context.get(), 1u << 20);  // KiB
}
RegexWorkspace::~RegexWorkspace() = default;
RegexWorkspace::RegexWorkspace(RegexWorkspace&&) noexcept = default;
RegexWorkspace& RegexWorkspace::operator=(RegexWorkspace&&) noexcept = default;

struct Regex::Impl {
  std::string text, source;  // as the file has it, and the file
  std::unique_ptr<pcre2_code, CodeDeleter> code;
  bool jit = false;
  std::array<bool, 256> starts{};  // bytes that a match may start with
  bool may_be_empty = false;
};

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Regex(std::string pattern, bool literal, std::string source) : impl_(std::make_unique<Impl>()) {
  impl_->text = std::move(pattern);
  impl_->source = std::move(source);
  if (impl_->text.empty()) ThrowBadInput("{}: a pattern is empty", impl_->source);
  if (impl_->text.size() > kMaxPatternBytes) {
    ThrowBadInput("{}: a pattern has {} bytes; at most {} are supported", impl_->source, impl_->text.size(),
                  kMaxPatternBytes);
  }
  const std::string translated = literal ? impl_->text : DialectTranslator(impl_->text, impl_->source).Translate();
  const uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
  int error = 0;
  size_t where = 0;
  impl_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &error,
                                  &where, nullptr));
  if (impl_->code == nullptr) {
    ThrowBadInput("{}: the regex {} does not compile: {}", impl_->source, impl_->text, PcreMessage(error));
  }
  impl_->jit = pcre2_jit_compile(impl_->code.get(), PCRE2_JIT_COMPLETE) == 0;
  uint32_t may_be_empty = 0;
  pcre2_pattern_info(impl_->code.get(), PCRE2_INFO_MATCHEMPTY, &may_be_empty);
  impl_->may_be_empty = may_be_empty != 0;
  const uint8_t* bitmap = nullptr;
  pcre2_pattern_info(impl_->code.get(), PCRE2_INFO_FIRSTBITMAP, &bitmap);
  for (size_t byte = 0; byte < 256; ++byte) {
    impl_->starts[byte] = impl_->may_be_empty || bitmap == nullptr || (bitmap[byte / 8] >> (byte % 8) & 1) != 0;
  }
}

bool Regex::MayMatch(std::string_view text) const {
  return std::any_of(text.begin(), text.end(), [this](char c) { return impl_->starts[static_cast<uint8_t>(c)]; });
}

void Regex::ForEachMatch(std::string_view text, RegexWorkspace& workspace,
                         FunctionRef<void(size_t, size_t)> match) const {
  // Backtracking over one run of white space is linear in its length; anything far beyond that is a runaway pattern.
  constexpr size_t kLeastLimit = 10'000'000, kLimitPerByte = 64;
  auto& buffers = *workspace.impl_;
  const auto limit = static_cast<uint32_t>(std::clamp(text.size() * kLimitPerByte, kLeastLimit, size_t{UINT32_MAX}));
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const size_t* span = pcre2_get_ovector_pointer(buffers.match.get());
  size_t from = 0, last_end = SIZE_MAX;
  while (from <= text.size() && (from < text.size() || impl_->may_be_empty)) {
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    pcre2_set_match_limit(buffers.context.get(), limit);  // each time: `match` may use this workspace, too
    if (impl_->jit) {
      found =
          pcre2_jit_match(impl_->code.get(), subject, text.size(), from, 0, buffers.match.get(), buffers.context.get());
    }
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // no just-in-time code, or too little stack for it
      found = pcre2_match(impl_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          buffers.match.get(), buffers.context.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      ThrowBadInput("{}: the regex {} gave up on a text of {} bytes: {}", impl_->source, impl_->text, text.size(),
                    PcreMessage(found));
    }
    const size_t begin = span[0], end = span[1];
    if (begin == end && end == last_end) {  // go on one character further
      from += from < text.size() ? static_cast<size_t>(DecodeUtf8(text.substr(from)).length) : 1;
      continue;
    }
    from = last_end = end;
    match(begin, end);
  }
}

}  // namespace sputnik
