#include "task/prompt.h"

#include "text/chat.h"

namespace sputnik {

std::vector<int32_t> EncodePrompt(const Tokenizer& tokenizer, const Task& task, const Problem& problem) {
  return EncodeChat(tokenizer, task.Conversation(problem, false), true).ids;
}

std::string DecodeCompletion(const Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const int32_t token : tokens) {
    if (token >= tokenizer.vocab_size()) {
      text += decoder.Finish() + "\xEF\xBF\xBD";
    } else if (!tokenizer.IsSpecial(token)) {
      text += decoder.Push(token);
    }
  }
  return text + decoder.Finish();
}

}  // namespace sputnik
