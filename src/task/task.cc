#include "task/task.h"

#include "base/error.h"

namespace sputnik {

std::vector<Message> Task::Conversation(const Problem& problem, bool with_answer) const {
  std::vector<Message> messages{{.role = "user", .content = problem.prompt}};
  if (with_answer) messages.push_back({.role = "assistant", .content = problem.answer});
  return messages;
}

Split SplitOf(uint64_t operands_hash) { return operands_hash % 10 == 0 ? Split::kHeldOut : Split::kTrain; }

void CheckLevel(const Task& task, int64_t level) {
  const LevelRange range = task.levels();
  if (level < range.lowest || level > range.highest) {
    ThrowUsage("task {}: no level {}; its levels are {} to {}", task.name(), level, range.lowest, range.highest);
  }
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Score AccuracyScore(bool correct) {
  const double accuracy = correct ? 1.0 : 0.0;
  return {.reward = accuracy, .correct = correct, .parts = {{"accuracy", accuracy}}};
}

}  // namespace sputnik
