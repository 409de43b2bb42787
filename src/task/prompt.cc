#include "task/prompt.h"

#include "text/chat.h"

namespace sputnik {

std::vector<int32_t> EncodePrompt(const Tokenizer& tokenizer, const Task& task, const Problem& problem) {
  return EncodeChat(tokenizer, task.Conversation(problem, false), true).ids;
}

std::string DecodeCompletion(const Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  std::string text;
  for (const int32_t& token : tokens) {
    text += token < tokenizer.vocab_size() ? tokenizer.Decode({&token, 1}, true) : "\xEF\xBF\xBD";
  }
  return text;
}

}  // namespace sputnik
