// Conversations as token ids, in DeepSeek's shape: begin of sentence, system text, then per turn <｜User｜> question
// <｜Assistant｜> answer, end of sentence; nothing stands between a role's token and its text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sputnik {

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

struct ChatTokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> is_answer;  // 1 on the tokens of each assistant message and the end of sentence after it
};

// An optional system message comes first, then user and assistant take turns, the user first; all contents as they are
// (reasoning of earlier turns stays). With `add_generation_prompt` the last message is the user's, and the ids end with
// <｜Assistant｜>. Control tokens in contents are ordinary text; markers such as <think> are found. Throws Error (bad
// input): no messages, an unknown role, a role out of turn (which message, what was expected), or a tokenizer without
// the four control tokens.
ChatTokens EncodeChat(const Tokenizer& tokenizer, std::span<const Message> messages, bool add_generation_prompt);

// The same shape for others' tools: a Jinja template for tokenizer_config.json.
std::string_view ChatTemplate();

}  // namespace sputnik
