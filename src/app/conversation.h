// What was said in a chat so far, and as much of it as a model's context holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat.h"

namespace sputnik {

class Conversation {
 public:
  // `context`: the most tokens of a sequence, question and answer included. The tokenizer must outlive this.
  Conversation(const Tokenizer& tokenizer, int64_t context) : tokenizer_(tokenizer), context_(context) {}

  void SetSystem(std::string text) { system_ = std::move(text); }  // what stands before all turns; empty: nothing
  void Clear() { turns_.clear(); }                                 // the system text stays

  struct Prompt {
    std::vector<int32_t> ids;  // the whole conversation, to be gone on with by the assistant
    int64_t forgotten = 0;     // questions, with their answers, that were dropped to make it fit
  };
  // Adds a question. The oldest turns are dropped for good until `room` tokens are left for an answer; a question alone
  // may leave fewer, but one. Throws Error (bad input), with the conversation as before, when even that does not fit.
  Prompt Ask(std::string question, int64_t room);
  // Adds the answer to it, or as much as there is of one.
  void Answer(std::string answer);

  int64_t turns() const { return static_cast<int64_t>(turns_.size()) / 2; }  // answered questions

 private:
  std::vector<int32_t> Encode(size_t first_turn) const;

  const Tokenizer& tokenizer_;
  int64_t context_;
  std::string system_;
  std::vector<Message> turns_;  // user, assistant, user, ...
};

}  // namespace sputnik
