#include "task/think_answer.h"

#include "base/error.h"

namespace sputnik {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
constexpr std::string_view kAnswer = "<answer>", kAnswerEnd = "</answer>";

// The place of the only occurrence of `tag`, or npos when there is none or more than one.
size_t FindOnly(std::string_view text, std::string_view tag) {
  const size_t first = text.find(tag);
  if (first == std::string_view::npos) return first;
  return text.find(tag, first + tag.size()) == std::string_view::npos ? first : std::string_view::npos;
}

}  // namespace

ThinkAnswer ParseThinkAnswer(std::string_view completion) {
  constexpr size_t kNone = std::string_view::npos;
  ThinkAnswer result;
  const size_t answer = FindOnly(completion, kAnswer), answer_end = FindOnly(completion, kAnswerEnd);
  if (answer == kNone || answer_end == kNone || answer_end < answer) return result;
  const size_t begin = answer + kAnswer.size();
  result.answer = Trim(completion.substr(begin, answer_end - begin));

  const size_t think_end = FindOnly(completion, kThinkEnd);
  if (think_end == kNone || think_end > answer) return result;
  std::string_view thought = Trim(completion.substr(0, think_end));
  if (thought.starts_with(kThink)) thought.remove_prefix(kThink.size());
  const size_t after_thought = think_end + kThinkEnd.size();
  result.well_formed = thought.find(kThink) == kNone && result.answer->find(kThink) == kNone &&
                       Trim(completion.substr(after_thought, answer - after_thought)).empty() &&
                       Trim(completion.substr(answer_end + kAnswerEnd.size())).empty();
  return result;
}

std::string WriteThinkAnswer(std::string_view thought, std::string_view answer) {
  return fmt::format("{}{}{}{}{}{}", kThink, thought, kThinkEnd, kAnswer, answer, kAnswerEnd);
}

Score ThinkAnswerScore(bool correct, bool well_formed, double format_weight) {
  const double accuracy = correct ? 1.0 : 0.0, format = well_formed ? 1.0 : 0.0;
  return {.reward = (1.0 - format_weight) * accuracy + format_weight * format,
          .correct = correct,
          .parts = {{"accuracy", accuracy}, {"format", format}}};
}

void CheckFormatWeight(double format_weight) {
  if (!(format_weight >= 0.0 && format_weight < 1.0)) {
    ThrowUsage("format_weight {}: must lie in [0, 1), so that a right answer still counts", format_weight);
  }
}

}  // namespace sputnik
