// Between a task's texts and a model's tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "task/task.h"
#include "text/tokenizer.h"

namespace sputnik {

// The problem as the chat prompt a model answers to, up to and including the assistant's turn marker.
std::vector<int32_t> EncodePrompt(const Tokenizer& tokenizer, const Task& task, const Problem& problem);

// A completion's text as the task grades it: markers such as <think> stay, the end-of-sentence token does not. Ids that
// only the model has, whose vocabulary may be padded, become U+FFFD.
std::string DecodeCompletion(const Tokenizer& tokenizer, std::span<const int32_t> tokens);

}  // namespace sputnik
