// The tasks by name, with the settings that a recipe gives them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "task/task.h"

namespace sputnik {

// Settings of all tasks together; each task reads its own.
struct TaskOptions {
  bool reversed = true;
  bool scratchpad = false;
  int64_t multiplier_digits = 1;
  int64_t numbers = 3;
  int64_t tries = 3;
  int64_t highest_target = 100;
  double format_weight = 0.1;
  std::string file;
  bool exact = false;

  void ListFields(Fields& fields);
};

// Errors (usage): a name that no task has, with the nearest one and the list; options out of range; a jsonl task
// without a file. Errors of the task's own files pass through.
std::unique_ptr<Task> MakeTask(std::string_view name, const TaskOptions& options);

std::vector<std::string> TaskNames();

}  // namespace sputnik
