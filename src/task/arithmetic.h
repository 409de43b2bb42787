// Addition of two numbers of exactly `level` digits each. Numbers are written least significant digit first, so that
// 14325 + 12199 = 26524 is the prompt "52341+99121=" with the answer "42562"; no number ends in a zero that would be a
// leading one in the usual order. A completion is right when it is the answer exactly, white space around it aside.
#pragma once

#include "task/task.h"

namespace sputnik {

struct ArithmeticOptions {
  bool reversed = true;  // false: the usual order, in prompt and answer

  // With a scratch pad the answer shows every column as digit + digit + carry = digit and next carry:
  // <think>5+9+0=41 2+9+1=21 3+1+1=50 4+2+0=60 1+1+0=20</think><answer>42562</answer>. Without `reversed` the two
  // results stand in the usual order too: 5+9+0=14.
  bool scratchpad = false;
  double format_weight = 0.1;  // share of the reward for that form
};

class Arithmetic : public Task {
 public:
  explicit Arithmetic(const ArithmeticOptions& options);

  std::string name() const override { return "addition"; }
  LevelRange levels() const override { return {1, 512}; }
  Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const override;
  Score Grade(const Problem& problem, std::string_view completion) const override;

 private:
  ArithmeticOptions options_;
};

}  // namespace sputnik
