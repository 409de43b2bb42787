#include "data/chat_sample.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {

Sample MakeChatSample(const Tokenizer& tokenizer, std::span<const Message> messages) {
  ChatTokens tokens = EncodeChat(tokenizer, messages, /*add_generation_prompt=*/false);
  CHECK_EQ(tokens.ids.size(), tokens.is_answer.size());
  Sample sample;
  sample.ids = std::move(tokens.ids);
  sample.target_weights.resize(sample.ids.size());
  std::transform(tokens.is_answer.begin(), tokens.is_answer.end(), sample.target_weights.begin(),
                 [](uint8_t is_answer) { return is_answer != 0 ? 1.0f : 0.0f; });
  if (!sample.target_weights.empty()) sample.target_weights[0] = 0.0f;  // nothing precedes the first token
  if (std::count(sample.target_weights.begin(), sample.target_weights.end(), 1.0f) == 0) {
    ThrowBadInput("a conversation of {} messages has no answer of the assistant to learn from; end it with one",
                  messages.size());
  }
  return sample;
}

}  // namespace sputnik
