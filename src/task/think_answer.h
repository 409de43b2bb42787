// The form of an answer with visible reasoning: <think>...</think><answer>...</answer>, and its rewards, accuracy and
// format (DeepSeek-R1, arXiv 2501.12948, section 2.2.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "task/task.h"

namespace sputnik {

struct ThinkAnswer {
  bool well_formed = false;                // that form exactly; white space between and around the parts is free
  std::optional<std::string_view> answer;  // trimmed; given only when there is exactly one <answer>...</answer>
};

// The opening <think> may be missing, as chat formats can put it into the prompt. Linear in the completion's length.
ThinkAnswer ParseThinkAnswer(std::string_view completion);

std::string WriteThinkAnswer(std::string_view thought, std::string_view answer);

// (1 - format_weight) for a right answer plus format_weight for the form; parts "accuracy" and "format".
Score ThinkAnswerScore(bool correct, bool well_formed, double format_weight);

// Throws Error (usage) unless 0 <= format_weight < 1.
void CheckFormatWeight(double format_weight);

}  // namespace sputnik
