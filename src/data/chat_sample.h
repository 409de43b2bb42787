// A conversation as a sample of supervised fine-tuning.
#pragma once

#include <span>

#include "data/packer.h"
#include "text/chat.h"

namespace sputnik {

// The conversation in the chat format, with weight 1 on each token of the assistant's answers (its end-of-sentence
// included) and 0 on the rest. Error (bad input) when nothing is to be learnt from it, as without an answer.
Sample MakeChatSample(const Tokenizer& tokenizer, std::span<const Message> messages);

}  // namespace sputnik
