#include "task/registry.h"

#include <array>

#include "base/error.h"
#include "task/arithmetic.h"
#include "task/countdown.h"
#include "task/jsonl.h"
#include "task/multiplication.h"

namespace sputnik {
namespace {

std::unique_ptr<Task> MakeAddition(const TaskOptions& options) {
  return std::make_unique<Arithmetic>(ArithmeticOptions{
      .reversed = options.reversed, .scratchpad = options.scratchpad, .format_weight = options.format_weight});
}

std::unique_ptr<Task> MakeCountdown(const TaskOptions& options) {
  return std::make_unique<Countdown>(CountdownOptions{.numbers = options.numbers,
                                                      .tries = options.tries,
                                                      .highest_target = options.highest_target,
                                                      .format_weight = options.format_weight});
}

std::unique_ptr<Task> MakeMultiplication(const TaskOptions& options) {
  return std::make_unique<Multiplication>(
      MultiplicationOptions{.multiplier_digits = options.multiplier_digits, .format_weight = options.format_weight});
}

std::unique_ptr<Task> MakeJsonl(const TaskOptions& options) {
  if (options.file.empty()) ThrowUsage("task jsonl: no file given; set its \"file\" to a JSONL file of problems");
  return std::make_unique<JsonlTask>(JsonlOptions{.file = options.file, .exact = options.exact});
}

struct Entry {
  std::string_view name;
  std::unique_ptr<Task> (*make)(const TaskOptions& options);
};

constexpr std::array kTasks = {
    Entry{"addition", MakeAddition},
    Entry{"countdown", MakeCountdown},
    Entry{"multiplication", MakeMultiplication},
    Entry{"jsonl", MakeJsonl},
};

}  // namespace

void TaskOptions::ListFields(Fields& fields) {
  const auto limit = [](Field& field, double minimum, double maximum) {
    field.minimum = minimum;
    field.maximum = maximum;
  };
  fields.Add("reversed", &reversed, "addition: write numbers least significant digit first");
  fields.Add("scratchpad", &scratchpad, "addition: show each column in <think> before the answer");
  limit(fields.Add("multiplier_digits", &multiplier_digits, "multiplication: digits of the second number"), 1, 2);
  limit(fields.Add("numbers", &numbers, "countdown: how many numbers are given"), 2, 4);
  limit(fields.Add("tries", &tries, "countdown: most missing combinations that a demonstration shows"), 0, 64);
  limit(fields.Add("highest_target", &highest_target, "countdown: largest number to reach"), 10, 100000);
  limit(fields.Add("format_weight", &format_weight, "share of the reward for the <think> and <answer> form"), 0, 0.99);
  fields.Add("file", &file, "jsonl: the file of problems");
  fields.Add("exact", &exact, "jsonl: the completion must be the answer exactly");
}

std::unique_ptr<Task> MakeTask(std::string_view name, const TaskOptions& options) {
  for (const Entry& entry : kTasks) {
    if (entry.name == name) return entry.make(options);
  }
  const std::string nearest = NearestName(name, TaskNames());
  std::string list;
  for (const std::string& known : TaskNames()) list += (list.empty() ? "" : ", ") + known;
  ThrowUsage("no task is named \"{}\"{}; there are: {}", name,
             nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest), list);
}

std::vector<std::string> TaskNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kTasks) names.emplace_back(entry.name);
  return names;
}

}  // namespace sputnik
