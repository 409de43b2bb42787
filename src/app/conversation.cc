#include "app/conversation.h"

#include "base/check.h"
#include "base/error.h"

namespace sputnik {

std::vector<int32_t> Conversation::Encode(size_t first_turn) const {
  std::vector<Message> messages;
  if (!system_.empty()) messages.push_back({"system", system_});
  messages.insert(messages.end(), turns_.begin() + static_cast<ptrdiff_t>(first_turn), turns_.end());
  return EncodeChat(tokenizer_, messages, true).ids;
}

Conversation::Prompt Conversation::Ask(std::string question, int64_t room) {
  CHECK_EQ(turns_.size() % 2, size_t{0});
  turns_.push_back({"user", std::move(question)});
  const size_t last = turns_.size() - 1;
  size_t first = 0;
  Prompt prompt{.ids = Encode(first)};
  const auto length = [&] { return static_cast<int64_t>(prompt.ids.size()); };
  while (first < last && length() + room > context_) {
    first += 2;
    prompt.ids = Encode(first);
  }
  if (length() + 1 > context_) {
    turns_.pop_back();
    ThrowBadInput("this takes {} tokens{}, but the model's context is {}; say it in fewer words", length(),
                  system_.empty() ? "" : " with the system text", context_);
  }
  prompt.forgotten = static_cast<int64_t>(first) / 2;
  turns_.erase(turns_.begin(), turns_.begin() + static_cast<ptrdiff_t>(first));
  return prompt;
}

void Conversation::Answer(std::string answer) {
  CHECK_EQ(turns_.size() % 2, size_t{1});
  turns_.push_back({"assistant", std::move(answer)});
}

}  // namespace sputnik
