// Which level each prompt of a round is drawn from, and when to move on.
#pragma once

#include <cstdint>

#include "rl/config.h"
#include "train/state.h"

namespace sputnik {

class Curriculum {
 public:
  // Takes up where `state` stands.
  Curriculum(const RlConfig& config, const RunState& state);

  int64_t level() const { return level_; }
  // Level of the round's prompt `index`: the current one, or with probability `replay` an earlier one. A pure function.
  int64_t LevelOf(uint64_t seed, int64_t step, int64_t index) const;
  // Notes the mean reward on the current level's prompts of one round; returns whether the level was moved on.
  bool Note(double reward);
  void Store(RunState& state) const;

 private:
  const RlConfig& config_;
  int64_t level_, solved_in_row_ = 0;
};

}  // namespace sputnik
