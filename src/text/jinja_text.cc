#include "text/jinja_text.h"

#include <unicode/uchar.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "text/unicode.h"

namespace sputnik::jinja {
namespace {

// The character at `at`, -1 where none is valid, and its length in bytes.
int32_t CharAt(std::string_view text, size_t at, size_t* length) {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x80) {
    *length = 1;
    return byte;
  }
  const Utf8Char c = DecodeUtf8(text.substr(at));
  *length = c.code_point < 0 ? 1 : static_cast<size_t>(c.length);
  return c.code_point < 0 ? -1 : c.code_point;
}

bool Has(int32_t c, UProperty property) { return c >= 0 && u_hasBinaryProperty(c, property) != 0; }
bool IsCased(int32_t c) { return Has(c, UCHAR_CASED); }

enum class Case { kUpper, kLower, kTitle };

// The full mapping of one character, without regard to its neighbours or a language.
void AppendMapped(int32_t c, Case wanted, char mark, Text* out) {
  if (c < 0x80) {
    const bool upper = wanted != Case::kLower;
    if (upper && c >= 'a' && c <= 'z') c -= 'a' - 'A';
    if (!upper && c >= 'A' && c <= 'Z') c += 'a' - 'A';
    const char byte = static_cast<char>(c);
    out->Append(std::string_view(&byte, 1), mark);
    return;
  }
  UChar from[2], to[8];
  int32_t from_length = 0;
  U16_APPEND_UNSAFE(from, from_length, c);
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length = wanted == Case::kUpper   ? u_strToUpper(to, 8, from, from_length, "", &error)
                         : wanted == Case::kLower ? u_strToLower(to, 8, from, from_length, "", &error)
                                                  : u_strToTitle(to, 8, from, from_length, nullptr, "", &error);
  std::string mapped;
  for (int32_t i = 0; U_SUCCESS(error) && i < length;) {
    UChar32 next;
    U16_NEXT(to, i, length, next);
    AppendUtf8(next, &mapped);
  }
  if (mapped.empty()) AppendUtf8(c, &mapped);
  out->Append(mapped, mark);
}

constexpr int32_t kCapitalSigma = 0x3A3;

// A sigma ends a word when a cased letter stands before it and none after it, leaving aside what has no case at all.
bool SigmaIsFinal(std::string_view text, size_t at, size_t length) {
  bool before = false;
  for (size_t i = at; i > 0;) {
    do --i;
    while (i > 0 && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80);
    size_t ignored;
    const int32_t c = CharAt(text, i, &ignored);
    if (Has(c, UCHAR_CASE_IGNORABLE)) continue;
    before = IsCased(c);
    break;
  }
  if (!before) return false;
  for (size_t i = at + length, step; i < text.size(); i += step) {
    const int32_t c = CharAt(text, i, &step);
    if (!Has(c, UCHAR_CASE_IGNORABLE)) return !IsCased(c);
  }
  return true;
}

// Each character in the case that `choose` wants, given the character before (-1 at the start).
Text Map(const Text& text, const std::function<Case(int32_t before)>& choose) {
  Text out;
  out.bytes.reserve(text.size());
  out.escaped = text.escaped;
  int32_t before = -1;
  for (size_t i = 0, length; i < text.size(); i += length) {
    const int32_t c = CharAt(text.bytes, i, &length);
    const Case wanted = choose(before);
    if (c < 0) {
      out.AppendPart(text, i, i + length);
    } else if (c == kCapitalSigma && wanted == Case::kLower) {
      out.Append(SigmaIsFinal(text.bytes, i, length) ? "ς" : "σ", text.MarkAt(i));
    } else {
      AppendMapped(c, wanted, text.MarkAt(i), &out);
    }
    before = c;
  }
  return out;
}

// The first character upwards, the others downwards, as the whole of `text` says.
Text FirstUpper(const Text& text, Case first) {
  bool start = true;
  return Map(text, [&](int32_t) { return std::exchange(start, false) ? first : Case::kLower; });
}

bool StartsWord(int32_t c) { return IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<'; }

bool IsLineEnd(int32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool AllOf(std::string_view text, bool (*holds)(int32_t)) {
  for (size_t i = 0, length; i < text.size(); i += length) {
    if (!holds(CharAt(text, i, &length))) return false;
  }
  return true;
}

// Neither case nor title: all cased characters of one kind, and one at least.
bool HasOneCase(std::string_view text, UProperty right) {
  bool any = false;
  for (size_t i = 0, length; i < text.size(); i += length) {
    const int32_t c = CharAt(text, i, &length);
    if (!IsCased(c)) continue;
    if (!Has(c, right)) return false;
    any = true;
  }
  return any;
}

bool IsTitle(std::string_view text) {
  bool any = false, inside = false;
  for (size_t i = 0, length; i < text.size(); i += length) {
    const int32_t c = CharAt(text, i, &length);
    const bool upper = Has(c, UCHAR_UPPERCASE) || (c >= 0 && u_charType(c) == U_TITLECASE_LETTER);
    if (upper ? inside : Has(c, UCHAR_LOWERCASE) && !inside) return false;
    inside = IsCased(c);
    any = any || inside;
  }
  return any;
}

int NumericType(int32_t c) { return c < 0 ? 0 : u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE); }
bool IsAlpha(int32_t c) { return c >= 0 && (U_MASK(u_charType(c)) & U_GC_L_MASK) != 0; }
bool IsDecimal(int32_t c) { return NumericType(c) == U_NT_DECIMAL; }
bool IsDigit(int32_t c) { return NumericType(c) == U_NT_DECIMAL || NumericType(c) == U_NT_DIGIT; }
bool IsNumeric(int32_t c) { return NumericType(c) != U_NT_NONE; }
bool IsAlnum(int32_t c) { return IsAlpha(c) || IsNumeric(c); }
bool IsNamePart(int32_t c) { return c == '_' || Has(c, UCHAR_XID_CONTINUE); }

}  // namespace

void Text::Append(std::string_view text, char mark) {
  if (mark != 0 && marks.empty()) marks.assign(bytes.size(), 0);
  bytes.append(text);
  if (!marks.empty() || mark != 0) marks.resize(bytes.size(), mark);
}

void Text::AppendPart(const Text& text, size_t begin, size_t end) {
  if (!text.marks.empty() && marks.empty()) marks.assign(bytes.size(), 0);
  bytes.append(text.bytes, begin, end - begin);
  if (!text.marks.empty()) {
    marks.append(text.marks, begin, end - begin);
  } else if (!marks.empty()) {
    marks.resize(bytes.size(), 0);
  }
}

Text Text::Part(size_t begin, size_t end) const {
  Text part;
  part.AppendPart(*this, begin, end);
  part.escaped = escaped;
  return part;
}

Characters::Characters(std::string_view text) : size_(text.size()) {
  ascii_ = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  if (ascii_) return;
  for (size_t i = 0, length; i < text.size(); i += length) {
    starts_.push_back(static_cast<uint32_t>(i));
    CharAt(text, i, &length);
  }
  starts_.push_back(static_cast<uint32_t>(text.size()));
}

int64_t Characters::IndexOf(size_t byte) const {
  return ascii_ ? static_cast<int64_t>(byte)
                : std::lower_bound(starts_.begin(), starts_.end(), static_cast<uint32_t>(byte)) - starts_.begin();
}

bool IsSpace(int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool IsPrintable(int32_t c) {
  if (c < 0x7F) return c >= 0x20;
  constexpr uint32_t kHidden = U_GC_C_MASK | U_GC_Z_MASK;
  return (U_MASK(u_charType(c)) & kHidden) == 0;
}

Text Strip(const Text& text, std::optional<std::string_view> chars, bool left, bool right) {
  const std::string_view bytes = text.bytes;
  const auto goes = [&](size_t at, size_t length) {
    size_t same;
    if (!chars) return IsSpace(CharAt(bytes, at, &same));
    for (size_t i = 0; i < chars->size(); i += same) {
      CharAt(*chars, i, &same);
      if (chars->substr(i, same) == bytes.substr(at, length)) return true;
    }
    return false;
  };
  size_t begin = 0, end = bytes.size(), length;
  while (left && begin < end) {
    CharAt(bytes, begin, &length);
    if (!goes(begin, length)) break;
    begin += length;
  }
  while (right && end > begin) {
    size_t at = end - 1;
    while (at > begin && end - at < 4 && (static_cast<uint8_t>(bytes[at]) & 0xC0) == 0x80) --at;
    CharAt(bytes, at, &length);
    if (at + length != end) {  // no character ends here: one stray byte
      at = end - 1;
      length = 1;
    }
    if (!goes(at, length)) break;
    end = at;
  }
  return text.Part(begin, end);
}

std::vector<Text> Split(const Text& text, std::optional<std::string_view> separator, int64_t most) {
  std::vector<Text> parts;
  const std::string_view bytes = text.bytes;
  size_t done = 0;
  if (separator) {
    for (size_t at; most != 0 && (at = bytes.find(*separator, done)) != bytes.npos; --most) {
      parts.push_back(text.Part(done, at));
      done = at + separator->size();
    }
    parts.push_back(text.Part(done, bytes.size()));
    return parts;
  }
  for (;;) {
    size_t length;
    while (done < bytes.size() && IsSpace(CharAt(bytes, done, &length))) done += length;
    if (done == bytes.size()) return parts;
    if (most-- == 0) {
      parts.push_back(text.Part(done, bytes.size()));
      return parts;
    }
    size_t end = done;
    while (end < bytes.size() && !IsSpace(CharAt(bytes, end, &length))) end += length;
    parts.push_back(text.Part(done, end));
    done = end;
  }
}

std::vector<Text> SplitFromRight(const Text& text, std::optional<std::string_view> separator, int64_t most) {
  // All places from the left (for runs of white space the same as from the right), then the first ones grown together.
  std::vector<Text> parts;
  if (separator && most >= 0) {
    const std::string_view bytes = text.bytes;
    size_t end = bytes.size();
    for (size_t at;
         most > 0 && end >= separator->size() && (at = bytes.rfind(*separator, end - separator->size())) != bytes.npos;
         --most) {
      parts.push_back(text.Part(at + separator->size(), end));
      end = at;
    }
    parts.push_back(text.Part(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  if (most < 0) return Split(text, separator, -1);
  Text rest = Strip(text, std::nullopt, false, true);
  for (; most > 0 && rest.size() > 0; --most) {
    Text kept = rest;
    const std::vector<Text> words = Split(kept, std::nullopt, -1);
    if (words.empty()) break;
    parts.push_back(words.back());
    rest = Strip(kept.Part(0, kept.size() - words.back().size()), std::nullopt, false, true);
  }
  if (rest.size() > 0) parts.push_back(std::move(rest));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> SplitLines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string_view bytes = text.bytes;
  size_t start = 0;
  for (size_t i = 0, length; i < bytes.size();) {
    const int32_t c = CharAt(bytes, i, &length);
    size_t next = i + length;
    if (!IsLineEnd(c)) {
      i = next;
      continue;
    }
    if (c == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    lines.push_back(text.Part(start, keep_ends ? next : i));
    start = i = next;
  }
  if (start < bytes.size()) lines.push_back(text.Part(start, bytes.size()));
  return lines;
}

int64_t Count(std::string_view text, std::string_view part) {
  if (part.empty()) return Characters(text).count() + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

size_t SizeAfterReplace(const Text& text, std::string_view old, const Text& fresh, int64_t most) {
  int64_t count = Count(text.bytes, old);
  if (most >= 0) count = std::min(count, most);
  return text.size() + static_cast<size_t>(count) * fresh.size() - static_cast<size_t>(count) * old.size();
}

Text Replace(const Text& text, std::string_view old, const Text& fresh, int64_t most) {
  Text out;
  out.escaped = text.escaped;
  size_t done = 0;
  if (old.empty()) {
    const Characters characters(text.bytes);
    for (int64_t i = 0; i <= characters.count() && most != 0; ++i, --most) {
      out.AppendPart(text, done, characters.Start(i));
      done = characters.Start(i);
      out.Append(fresh);
    }
  }
  for (size_t at; !old.empty() && most != 0 && (at = text.bytes.find(old, done)) != text.bytes.npos; --most) {
    out.AppendPart(text, done, at);
    out.Append(fresh);
    done = at + old.size();
  }
  out.AppendPart(text, done, text.size());
  return out;
}

Text Upper(const Text& text) {
  return Map(text, [](int32_t) { return Case::kUpper; });
}
Text Lower(const Text& text) {
  return Map(text, [](int32_t) { return Case::kLower; });
}
Text Capitalize(const Text& text) { return FirstUpper(text, Case::kTitle); }
Text Title(const Text& text) {
  return Map(text, [](int32_t before) { return IsCased(before) ? Case::kLower : Case::kTitle; });
}

Text TitleFilter(const Text& text) {
  Text out;
  for (size_t i = 0, length; i < text.size();) {
    size_t end = i;
    const bool between = StartsWord(CharAt(text.bytes, i, &length));
    while (end < text.size() && StartsWord(CharAt(text.bytes, end, &length)) == between) end += length;
    out.Append(FirstUpper(text.Part(i, end), Case::kUpper));
    i = end;
  }
  return out;
}

Text Escape(const Text& text) {
  Text out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes[i];
    const std::string_view entity = c == '&'    ? "&amp;"
                                    : c == '<'  ? "&lt;"
                                    : c == '>'  ? "&gt;"
                                    : c == '\'' ? "&#39;"
                                    : c == '"'  ? "&#34;"
                                                : std::string_view();
    if (entity.empty() || text.escaped) {
      out.AppendPart(text, i, i + 1);
    } else {
      out.Append(entity, text.MarkAt(i));
    }
  }
  out.escaped = true;
  return out;
}

std::optional<bool> Is(std::string_view name, std::string_view text) {
  if (name == "isascii") return AllOf(text, [](int32_t c) { return c >= 0 && c < 0x80; });
  if (name == "isprintable") return AllOf(text, IsPrintable);
  if (name == "islower") return HasOneCase(text, UCHAR_LOWERCASE);
  if (name == "isupper") return HasOneCase(text, UCHAR_UPPERCASE);
  if (name == "istitle") return IsTitle(text);
  bool (*holds)(int32_t) = name == "isalpha"        ? IsAlpha
                           : name == "isdigit"      ? IsDigit
                           : name == "isalnum"      ? IsAlnum
                           : name == "isspace"      ? IsSpace
                           : name == "isnumeric"    ? IsNumeric
                           : name == "isdecimal"    ? IsDecimal
                           : name == "isidentifier" ? IsNamePart
                                                    : nullptr;
  if (holds == nullptr) return std::nullopt;
  if (text.empty()) return false;
  size_t length;
  if (holds == &IsNamePart && IsDecimal(CharAt(text, 0, &length))) return false;
  return AllOf(text, holds);
}

}  // namespace sputnik::jinja
