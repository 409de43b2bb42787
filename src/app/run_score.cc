#include "app/run_score.h"

#include <algorithm>
#include <cmath>

namespace sputnik {
namespace {

constexpr double kSolved = 0.9;

StageScore ScoreOf(std::vector<const ResultRecord*> levels) {
  std::sort(levels.begin(), levels.end(), [](const auto* a, const auto* b) { return a->level < b->level; });
  const ResultRecord& first = *levels.front();
  StageScore score{.task = first.task, .split = first.split, .stage = first.stage};
  score.levels = static_cast<int64_t>(levels.size());
  score.k = first.k;
  const auto count = static_cast<double>(levels.size());
  double below = 0, above = 0;
  bool solved = true;
  for (const ResultRecord* level : levels) {
    score.n += level->n;
    score.pass_at_1 += level->pass_at_1 / count;
    score.pass_at_k += level->pass_at_k / count;
    below += (level->pass_at_1 - level->low) * (level->pass_at_1 - level->low);
    above += (level->high - level->pass_at_1) * (level->high - level->pass_at_1);
    solved = solved && level->pass_at_1 >= kSolved;
    if (solved) score.solved_up_to = level->level;
  }
  score.low = std::max(0.0, score.pass_at_1 - std::sqrt(below) / count);
  score.high = std::min(1.0, score.pass_at_1 + std::sqrt(above) / count);
  return score;
}

}  // namespace

std::vector<StageScore> ScoreStages(const std::vector<ResultRecord>& results) {
  std::vector<std::vector<const ResultRecord*>> groups;
  for (const ResultRecord& result : results) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return group.front()->task == result.task && group.front()->split == result.split &&
             group.front()->stage == result.stage;
    });
    if (same == groups.end()) {
      groups.push_back({&result});
    } else {
      same->push_back(&result);
    }
  }
  std::vector<StageScore> scores;
  for (auto& group : groups) scores.push_back(ScoreOf(std::move(group)));
  return scores;
}

}  // namespace sputnik
