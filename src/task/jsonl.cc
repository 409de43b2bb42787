#include "task/jsonl.h"

#include "base/error.h"
#include "base/jsonl.h"
#include "base/random.h"
#include "task/math_answer.h"

namespace sputnik {
namespace {

constexpr std::string_view kExpected = R"({"prompt": "...", "answer": "..."})";
constexpr int64_t kHighestLevel = 1000000;

// FNV-1a, so that the division depends on the prompt's bytes alone.
uint64_t HashText(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return HashCombine(hash, text.size());
}

Problem ReadProblem(const Json& object, const std::filesystem::path& path, int64_t line) {
  const auto text = [&](const char* key, const char* other) {
    const char* present = object.contains(key) || !object.contains(other) ? key : other;
    const auto found = object.find(present);
    if (found != object.end() && found->is_number()) return found->dump();
    return JsonLineString(object, present, path, line, kExpected);
  };
  Problem problem{.prompt = text("prompt", "question"), .answer = text("answer", "ground_truth"), .level = 1};
  if (Trim(problem.prompt).empty() || Trim(problem.answer).empty()) {
    ThrowBadInput("{}:{}: the {} is empty; expected an object such as {}", path.string(), line,
                  Trim(problem.prompt).empty() ? "prompt" : "answer", kExpected);
  }
  if (const auto level = object.find("level"); level != object.end()) {
    if (!level->is_number_integer() || level->get<int64_t>() < 0 || level->get<int64_t>() > kHighestLevel) {
      ThrowBadInput("{}:{}: \"level\" is {} and must be a whole number from 0 to {}", path.string(), line,
                    level->dump().substr(0, 40), kHighestLevel);
    }
    problem.level = level->get<int64_t>();
  }
  return problem;
}

}  // namespace

JsonlTask::JsonlTask(const JsonlOptions& options) : options_(options) {
  ForEachJsonLine(options.file, kExpected, [&](const Json& object, int64_t line) {
    Problem problem = ReadProblem(object, options.file, line);
    Level& level = levels_[problem.level];
    (SplitOf(HashText(problem.prompt)) == Split::kTrain ? level.train : level.held_out).push_back(std::move(problem));
  });
  if (levels_.empty()) {
    ThrowBadInput("{}: no problem in there; expected lines such as {}", options.file.string(), kExpected);
  }
}

LevelRange JsonlTask::levels() const { return {levels_.begin()->first, levels_.rbegin()->first}; }

const std::vector<Problem>& JsonlTask::ProblemsOf(int64_t level, Split split) const {
  CheckLevel(*this, level);
  const auto found = levels_.find(level);
  if (found == levels_.end()) {
    ThrowUsage("{}: no problem of level {}; the nearest is level {}", options_.file.string(), level,
               levels_.lower_bound(level)->first);
  }
  const bool train = split == Split::kTrain;
  const std::vector<Problem>& problems = train ? found->second.train : found->second.held_out;
  if (problems.empty()) {
    ThrowUsage("{}: level {} has no problem {}; about one prompt in ten is held out, so give more problems",
               options_.file.string(), level, train ? "to train on" : "that is held out");
  }
  return problems;
}

std::optional<int64_t> JsonlTask::Count(int64_t level, Split split) const {
  return static_cast<int64_t>(ProblemsOf(level, split).size());
}

Problem JsonlTask::Make(uint64_t seed, int64_t level, uint64_t index, Split split) const {
  const std::vector<Problem>& problems = ProblemsOf(level, split);
  const uint64_t count = problems.size();
  const uint64_t key = HashCombine(HashCombine(seed, kStreamTask), index / count);
  return problems[PermutedIndex(count, index % count, key)];
}

Score JsonlTask::Grade(const Problem& problem, std::string_view completion) const {
  if (options_.exact) return AccuracyScore(Trim(completion) == Trim(problem.answer));
  return GradeMathAnswer(completion, problem.answer);
}

}  // namespace sputnik
