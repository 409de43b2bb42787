// Countdown: combine all the given numbers, each exactly once, with + - * / to reach a target. The level is the largest
// number that may be given. A prompt is "3 5 2=16"; the demonstration tries some combinations, then the right one:
//   <think>5+3=8 8-2=6 no 5*2=10 10+3=13 no 5+3=8 8*2=16 yes</think><answer>(5+3)*2</answer>
// Every step of a demonstration gives a positive whole number, the larger term of sums and products coming first. The
// answer may be any expression of whole numbers whose divisions leave no remainder. What is held out are sets of
// numbers: no held-out set occurs in training, with any target.
#pragma once

#include "task/task.h"

namespace sputnik {

struct CountdownOptions {
  int64_t numbers = 3;  // 2 to 4
  int64_t tries = 3;    // a demonstration shows 0 to this many combinations that miss
  int64_t highest_target = 100;
  double format_weight = 0.1;  // share of the reward for the form
};

class Countdown : public Task {
 public:
  explicit Countdown(const CountdownOptions& options);  // usage Error for options out of range

  std::string name() const override { return "countdown"; }
  LevelRange levels() const override { return {6, 99}; }
  Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const override;
  Score Grade(const Problem& problem, std::string_view completion) const override;

 private:
  CountdownOptions options_;
};

}  // namespace sputnik
