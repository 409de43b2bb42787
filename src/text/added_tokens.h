// Tokens beside the merges: control tokens such as the begin of a sentence, and markers such as <think>. They are found
// in text before anything else looks at it: leftmost first, of several at one place the longest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

// DeepSeek's control tokens (bars are U+FF5C, the low blocks U+2581) and the markers of visible reasoning.
inline constexpr std::string_view kBosToken = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEosToken = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kPadToken = "<｜▁pad▁｜>";
inline constexpr std::string_view kUserToken = "<｜User｜>";
inline constexpr std::string_view kAssistantToken = "<｜Assistant｜>";
inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";
inline constexpr std::string_view kAnswerBegin = "<answer>";
inline constexpr std::string_view kAnswerEnd = "</answer>";

// The time to look for added tokens grows with the longest.
inline constexpr size_t kMaxAddedTokenBytes = 512;

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;      // left out by Decode(skip_special), found in text only when asked for
  bool normalized = false;   // looked for after normalisation, itself normalised, and after all tokens that are not
  bool single_word = false;  // only where no word character is beside it
  bool lstrip = false, rstrip = false;  // takes the white space on its left or right with it
};

class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::span<const AddedToken> tokens);  // of equal contents the first counts; none is empty

  struct Match {
    size_t begin, end;
    size_t token;  // index into the tokens given
  };
  // The first match at or after `from`; false when there is none. The flags of tokens play no part.
  bool Find(std::string_view text, size_t from, Match* match) const;

 private:
  struct Node {
    int64_t token = -1;
    std::vector<std::pair<uint8_t, uint32_t>> children;
  };
  std::vector<Node> nodes_;  // a trie; node 0 is its root
  std::array<uint32_t, 256> first_{};
};

// Whether a token with `single_word` may be at [begin, end) of `text`.
bool IsSingleWord(std::string_view text, size_t begin, size_t end);

}  // namespace sputnik
