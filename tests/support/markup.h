// A small check of HTML and SVG text: every element that is opened is closed, in order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

// What is wrong with the nesting of `text`, or nothing. Knows the elements that never have an end.
inline std::string WrongNesting(std::string_view text) {
  std::vector<std::string> open;
  for (size_t at = text.find('<'); at != text.npos; at = text.find('<', at + 1)) {
    const size_t end = text.find('>', at);
    if (end == text.npos) return "a tag without an end";
    const std::string_view tag = text.substr(at + 1, end - at - 1);
    if (tag.find('<') != tag.npos) return "a < inside of <" + std::string(tag) + ">";
    const std::string name(tag.substr(0, tag.find_first_of(" \n")));
    if (name.starts_with('!') || name == "meta" || name == "br" || tag.ends_with('/')) continue;
    if (!name.starts_with('/')) {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != name) {
      return "<" + name + "> closes " + (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

inline size_t CountOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace sputnik

#define EXPECT_MENTIONS_ONCE(text, part) EXPECT_EQ(sputnik::CountOf(text, part), 1u) << (part)
