// Strings of chat templates: UTF-8 with the methods that Python's str has, and with a mark on each byte that tells
// where it came from. Positions and lengths are in bytes here unless a name says characters; a byte that is not part of
// valid UTF-8 counts as one character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik::jinja {

inline constexpr char kSaid = 1;       // part of the conversation, not of the template
inline constexpr char kGenerated = 2;  // printed inside {% generation %}

struct Text {
  std::string bytes;
  std::string marks;     // one per byte, or empty: none has any
  bool escaped = false;  // what the filter `safe` gives: adding to it escapes the other side

  Text() = default;
  explicit Text(std::string_view text, char mark = 0) { Append(text, mark); }

  size_t size() const { return bytes.size(); }
  char MarkAt(size_t i) const { return marks.empty() ? char{0} : marks[i]; }
  void Append(std::string_view text, char mark = 0);
  void Append(const Text& text) { AppendPart(text, 0, text.size()); }
  void AppendPart(const Text& text, size_t begin, size_t end);
  Text Part(size_t begin, size_t end) const;
};

// Where characters start.
class Characters {
 public:
  explicit Characters(std::string_view text);
  int64_t count() const { return ascii_ ? static_cast<int64_t>(size_) : static_cast<int64_t>(starts_.size()) - 1; }
  size_t Start(int64_t character) const {  // character <= count()
    return ascii_ ? static_cast<size_t>(character) : starts_[static_cast<size_t>(character)];
  }
  int64_t IndexOf(size_t byte) const;  // of the character that starts there

 private:
  bool ascii_ = true;
  size_t size_;
  std::vector<uint32_t> starts_;  // with the end; empty when all is ASCII
};

bool IsSpace(int32_t code_point);      // as str.isspace: what strip() takes away
bool IsPrintable(int32_t code_point);  // as str.isprintable: what repr() leaves as it is

// str.strip and its kin. Without `chars` white space goes.
Text Strip(const Text& text, std::optional<std::string_view> chars, bool left, bool right);

// str.split and str.rsplit; without `separator` (which is not empty) at runs of white space. most < 0: at all places.
std::vector<Text> Split(const Text& text, std::optional<std::string_view> separator, int64_t most);
std::vector<Text> SplitFromRight(const Text& text, std::optional<std::string_view> separator, int64_t most);
std::vector<Text> SplitLines(const Text& text, bool keep_ends);

// str.replace; most < 0: all. The size of the result first, for those who want to refuse it.
size_t SizeAfterReplace(const Text& text, std::string_view old, const Text& fresh, int64_t most);
Text Replace(const Text& text, std::string_view old, const Text& fresh, int64_t most);

// Non-overlapping occurrences; of the empty string, one more than there are characters.
int64_t Count(std::string_view text, std::string_view part);

Text Upper(const Text& text);
Text Lower(const Text& text);
Text Capitalize(const Text& text);
Text Title(const Text& text);        // str.title: a word is a run of cased characters
Text TitleFilter(const Text& text);  // the filter: a word starts after white space, - ( { [ or <
Text Escape(const Text& text);       // & < > ' " as HTML entities; `escaped` is set

// str.isalpha and its kin, by name: "isalpha", "isdigit", "isalnum", "isspace", "islower", "isupper", "isnumeric",
// "isdecimal", "isascii", "istitle", "isidentifier", "isprintable".
std::optional<bool> Is(std::string_view name, std::string_view text);

}  // namespace sputnik::jinja
