#include "text/added_tokens.h"

#include <algorithm>

#include "text/code_point.h"
#include "text/unicode.h"

namespace sputnik {
AddedTokenMatcher::AddedTokenMatcher(std::span<const AddedToken> tokens) : nodes_(1) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    size_t node = 0;
    for (const char c : tokens[i].content) {
      const auto byte = static_cast<uint8_t>(c);
      const auto& children = nodes_[node].children;
      const auto child =
          std::find_if(children.begin(), children.end(), [byte](const auto& edge) { return edge.first == byte; });
      if (child != children.end()) {
        node = child->second;
        continue;
      }
      const auto added = static_cast<uint32_t>(nodes_.size());
      nodes_[node].children.emplace_back(byte, added);
      nodes_.emplace_back();
      node = added;
    }
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<int64_t>(i);
  }
  for (const auto& [byte, node] : nodes_[0].children) first_[byte] = node;
}

bool AddedTokenMatcher::Find(std::string_view text, size_t from, Match* match) const {
  if (nodes_.size() == 1) return false;
  for (size_t begin = from; begin < text.size(); ++begin) {
    uint32_t node = first_[static_cast<uint8_t>(text[begin])];
    if (node == 0) continue;
    bool found = false;
    for (size_t end = begin + 1;; ++end) {
      if (nodes_[node].token >= 0) {
        *match = {begin, end, static_cast<size_t>(nodes_[node].token)};
        found = true;
      }
      if (end == text.size()) break;
      const auto byte = static_cast<uint8_t>(text[end]);
      const auto& children = nodes_[node].children;
      const auto child =
          std::find_if(children.begin(), children.end(), [byte](const auto& edge) { return edge.first == byte; });
      if (child == children.end()) break;
      node = child->second;
    }
    if (found) return true;
  }
  return false;
}

bool IsSingleWord(std::string_view text, size_t begin, size_t end) {
  const auto is_word = [](const Utf8Char& c) { return c.code_point >= 0 && IsWord(c.code_point); };
  return (begin == 0 || !is_word(LastUtf8Char(text.substr(0, begin)))) &&
         (end == text.size() || !is_word(DecodeUtf8(text.substr(end))));
}

}  // namespace sputnik
