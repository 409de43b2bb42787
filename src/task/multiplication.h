// Multiplication of a number of `level` digits by one of one or two digits, with a scratch pad. Numbers are written
// least significant digit first. For 432 * 57 = 24624 the prompt is "234*75=" and the answer
//   <think>7:41 22 03=4203 5:01 61 12=0612 4203+00612=42642</think><answer>42642</answer>
// For each digit of the multiplier: the digit, then per column the product's digit and the next carry (7 * 2 = 14 is
// "41"), then the partial product, which always has one digit more than the number. A two-digit multiplier ends with
// the sum of the partial products, the second one shifted by a place. Only what <answer> holds is checked, exactly.
#pragma once

#include "task/task.h"

namespace sputnik {

struct MultiplicationOptions {
  int64_t multiplier_digits = 1;  // 1 or 2
  double format_weight = 0.1;     // share of the reward for the form
};

class Multiplication : public Task {
 public:
  explicit Multiplication(const MultiplicationOptions& options);  // usage Error for options out of range

  std::string name() const override { return "multiplication"; }
  LevelRange levels() const override { return {1, 256}; }
  Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const override;
  Score Grade(const Problem& problem, std::string_view completion) const override;

 private:
  MultiplicationOptions options_;
};

}  // namespace sputnik
