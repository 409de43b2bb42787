#include "rl/curriculum.h"

#include <algorithm>

#include "base/random.h"

namespace sputnik {
namespace {

constexpr const char* kLevel = "curriculum.level";
constexpr const char* kSolved = "curriculum.solved_in_row";

int64_t Stored(const RunState& state, const char* key, int64_t fallback) {
  const auto found = state.numbers.find(key);
  return found == state.numbers.end() ? fallback : static_cast<int64_t>(found->second);
}

}  // namespace

Curriculum::Curriculum(const RlConfig& config, const RunState& state)
    : config_(config), level_(Stored(state, kLevel, config.start_level)), solved_in_row_(Stored(state, kSolved, 0)) {}

int64_t Curriculum::LevelOf(uint64_t seed, int64_t step, int64_t index) const {
  Random random(seed, kStreamCurriculum, HashCombine(static_cast<uint64_t>(step), static_cast<uint64_t>(index)));
  const int64_t earlier = level_ - config_.replay_from;
  if (earlier <= 0 || random.Uniform() >= config_.replay) return level_;
  return config_.replay_from + static_cast<int64_t>(random.Below(static_cast<uint64_t>(earlier)));
}

bool Curriculum::Note(double reward) {
  solved_in_row_ = reward >= config_.advance_reward ? solved_in_row_ + 1 : 0;
  if (solved_in_row_ < config_.advance_steps || level_ >= config_.max_level) return false;
  ++level_;
  solved_in_row_ = 0;
  return true;
}

void Curriculum::Store(RunState& state) const {
  state.numbers[kLevel] = static_cast<double>(level_);
  state.numbers[kSolved] = static_cast<double>(solved_in_row_);
}

}  // namespace sputnik
