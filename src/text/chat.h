// Conversations as token ids: by the chat template of the model folder that the tokenizer came from, or, where there is
// none, in the shape that this program's own models learn, DeepSeek's: begin of sentence, system text, then per turn
// <｜User｜> question <｜Assistant｜> answer, end of sentence; nothing stands between a role's token and its text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace sputnik {

struct ChatTokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> is_answer;  // 1 on the tokens of each assistant message and the end of sentence after it
};

// In the own shape an optional system message comes first, then user and assistant take turns, the user first; all
// contents as they are (reasoning of earlier turns stays). With `add_generation_prompt` the last message is the user's,
// and the ids end with <｜Assistant｜>. Control tokens in contents are ordinary text; markers such as <think> are
// found. Throws Error (bad input): no messages, an unknown role, a role out of turn (which message, what was expected),
// or a tokenizer without the four control tokens.
//
// By a template, what goes is the template's to say; control tokens in contents are ordinary text there, too. Answers
// are what stands in {% generation %}, or, in a template without, what an answer adds to the prompt before it. They
// start a new token, as they do when the model writes them. That second way needs a template that writes messages the
// same whatever follows them: Error (bad input) otherwise, unless there is one answer, which is then taken as the model
// would give it (templates of reasoning models drop thoughts and open them in the prompt). With `add_generation_prompt`
// only {% generation %} marks answers.
ChatTokens EncodeChat(const Tokenizer& tokenizer, std::span<const Message> messages, bool add_generation_prompt);

// The own shape for others' tools: a Jinja template for tokenizer_config.json.
std::string_view OwnChatTemplate();

}  // namespace sputnik
