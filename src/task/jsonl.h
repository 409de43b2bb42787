// A task from a file: JSONL with {"prompt": "...", "answer": "...", "level": 1}. "question" may stand for "prompt" and
// "ground_truth" for "answer"; the answer may be a number or a text that ends in it (GSM8K's "#### 18"). A line without
// "level" has level 1.
#pragma once

#include <filesystem>
#include <map>

#include "task/task.h"

namespace sputnik {

struct JsonlOptions {
  std::filesystem::path file;
  bool exact = false;  // the completion must be the answer exactly; otherwise answers are compared as in math_answer.h
};

class JsonlTask : public Task {
 public:
  // Reads the whole file. Errors (bad input) name file and line: broken JSON, missing or wrong fields, no line at all.
  explicit JsonlTask(const JsonlOptions& options);

  std::string name() const override { return "jsonl"; }
  LevelRange levels() const override;

  // About a tenth of the prompts is held out, by a hash of the prompt. Each side of a level is gone through in an order
  // that depends on the seed, again and again. Error (usage): a level without lines, or without any on this side.
  std::optional<int64_t> Count(int64_t level, Split split) const override;
  Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const override;
  Score Grade(const Problem& problem, std::string_view completion) const override;

 private:
  struct Level {
    std::vector<Problem> train, held_out;
  };
  const std::vector<Problem>& ProblemsOf(int64_t level, Split split) const;

  JsonlOptions options_;
  std::map<int64_t, Level> levels_;
};

}  // namespace sputnik
