// Accuracy by level, drawn together into one figure per stage.
#pragma once

#include <string>
#include <vector>

#include "app/run_record.h"

namespace sputnik {

struct StageScore {
  std::string task, split, stage;
  int64_t levels = 0, k = 1, n = 0;     // n: problems over all levels
  double pass_at_1 = 0, pass_at_k = 0;  // mean over levels
  double low = 0, high = 1;             // 95% interval of pass_at_1
  int64_t solved_up_to = 0;             // the highest level with pass@1 >= 0.9 on it and on all below it; 0: none
};

// One score per task, split and stage, in the order of `results`. Levels count alike. The levels' problems are drawn
// independently, so that the errors of the mean add up in squares (each side of the intervals by itself).
std::vector<StageScore> ScoreStages(const std::vector<ResultRecord>& results);

}  // namespace sputnik
