#include "rl/rollout.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "rl/advantage.h"
#include "task/prompt.h"

namespace sputnik {
namespace {

// One request for prompt `index` of round `step`; every random number it leads to hangs on these two and the seed.
std::pair<Problem, Request> MakeRequest(const RolloutSource& source, const Curriculum& curriculum, int64_t step,
                                        int64_t index) {
  const RlConfig& config = source.config;
  const uint64_t key = HashCombine(static_cast<uint64_t>(step), static_cast<uint64_t>(index));
  Problem problem = source.task.Make(HashCombine(source.seed, kStreamTask),
                                     curriculum.LevelOf(source.seed, step, index), key, Split::kTrain);
  Request request;
  request.prompt = EncodePrompt(source.tokenizer, source.task, problem);
  request.max_tokens = config.max_tokens;
  request.samples = config.group_size;
  request.sampling.temperature = config.temperature;
  request.sampling.seed = HashCombine(source.seed, key);
  request.position_seed = request.sampling.seed;
  request.stop_ids = {source.tokenizer.eos_id()};
  return {std::move(problem), std::move(request)};
}

void SetAdvantages(const RlConfig& config, RolloutGroup& group) {
  std::vector<double> rewards;
  for (const Rollout& rollout : group.rollouts) rewards.push_back(rollout.reward);
  group.uniform = AllEqual(rewards);
  const std::vector<double> advantages = Advantages(rewards, config.advantage);
  for (size_t i = 0; i < advantages.size(); ++i) group.rollouts[i].advantage = advantages[i];
}

void CollectRound(const RolloutSource& source, const Curriculum& curriculum, int64_t step, int64_t first,
                  std::vector<RolloutGroup>& groups) {
  std::vector<Problem> problems;
  std::vector<Request> requests;
  std::vector<std::vector<int32_t>> prompts;
  for (int64_t i = 0; i < source.config.prompts_per_step; ++i) {
    auto [problem, request] = MakeRequest(source, curriculum, step, first + i);
    prompts.push_back(request.prompt);
    problems.push_back(std::move(problem));
    requests.push_back(std::move(request));
  }
  std::vector<Completion> completions = source.engine.Run(std::move(requests));
  size_t next = 0;
  for (size_t p = 0; p < problems.size(); ++p) {
    RolloutGroup& group = groups.emplace_back();
    for (int64_t g = 0; g < source.config.group_size; ++g) {
      Rollout rollout{problems[p], prompts[p], std::move(completions[next++]), {}};
      rollout.score = source.task.Grade(rollout.problem, DecodeCompletion(source.tokenizer, rollout.completion.tokens));
      rollout.reward = rollout.score.reward;
      if (source.config.reward == "random") {
        Random coin(source.seed, kStreamReward,
                    HashCombine(static_cast<uint64_t>(step),
                                static_cast<uint64_t>((first + static_cast<int64_t>(p)) * 1000003 + g)));
        rollout.reward = coin.Uniform() < 0.5 ? 0 : 1;
      }
      if (!std::isfinite(rollout.reward)) rollout.reward = 0;
      group.rollouts.push_back(std::move(rollout));
    }
    SetAdvantages(source.config, group);
  }
}

struct Moments {
  double sum = 0, squares = 0, count = 0;
  void Add(double x) {
    sum += x;
    squares += x * x;
    ++count;
  }
  double Mean() const { return count > 0 ? sum / count : 0; }
  // Of a sample, as TRL has it.
  double Deviation() const { return count > 1 ? std::sqrt(std::max(0.0, (squares - sum * Mean()) / (count - 1))) : 0; }
};

}  // namespace

std::vector<RolloutGroup> CollectRollouts(const RolloutSource& source, const Curriculum& curriculum, int64_t step) {
  std::vector<RolloutGroup> groups;
  const auto mixed = [&] {
    return std::count_if(groups.begin(), groups.end(), [](const RolloutGroup& g) { return !g.uniform; });
  };
  for (int64_t round = 0; round <= source.config.resample_rounds; ++round) {
    if (round > 0 && mixed() >= source.config.prompts_per_step) break;
    CollectRound(source, curriculum, step, round * source.config.prompts_per_step, groups);
  }
  return groups;
}

Sample TrainingSample(const Rollout& rollout) {
  Sample sample{.ids = rollout.prompt,
                .target_weights = std::vector<float>(rollout.prompt.size(), 0.f),
                .positions = rollout.completion.positions};
  for (const int32_t token : rollout.completion.tokens) {
    sample.ids.push_back(token);
    sample.target_weights.push_back(1.f);
  }
  if (!sample.positions.empty()) sample.positions.resize(sample.ids.size());
  return sample;
}

std::vector<std::pair<std::string, double>> RolloutMetrics(const std::vector<RolloutGroup>& groups) {
  Moments reward, group_deviation, length, ended_length, logprob;
  std::map<std::string, Moments> parts;
  double uniform = 0, truncated = 0, count = 0, passed = 0;
  std::map<int64_t, Moments> correct;
  for (const RolloutGroup& group : groups) {
    Moments in_group;
    passed +=
        std::any_of(group.rollouts.begin(), group.rollouts.end(), [](const Rollout& r) { return r.score.correct; });
    uniform += group.uniform;
    for (const Rollout& rollout : group.rollouts) {
      const auto tokens = static_cast<double>(rollout.completion.tokens.size());
      reward.Add(rollout.reward);
      in_group.Add(rollout.reward);
      length.Add(tokens);
      count += 1;
      if (rollout.completion.reason == FinishReason::kStop) {
        ended_length.Add(tokens);
      } else {
        truncated += 1;
      }
      for (const RewardPart& part : rollout.score.parts) parts[part.name].Add(part.value);
      for (const float value : rollout.completion.logprobs) logprob.Add(static_cast<double>(value));
      correct[rollout.problem.level].Add(rollout.score.correct);
    }
    group_deviation.Add(in_group.Deviation());
  }
  std::vector<std::pair<std::string, double>> figures = {{"reward", reward.Mean()},
                                                         {"reward_std", group_deviation.Mean()}};
  for (const auto& [name, part] : parts) {
    figures.emplace_back("rewards/" + name + "/mean", part.Mean());
    figures.emplace_back("rewards/" + name + "/std", part.Deviation());
  }
  figures.emplace_back("frac_reward_zero_std", uniform / static_cast<double>(groups.size()));
  figures.emplace_back(fmt::format("pass@{}", groups.front().rollouts.size()),
                       passed / static_cast<double>(groups.size()));
  figures.emplace_back("completions/mean_length", length.Mean());
  figures.emplace_back("completions/clipped_ratio", truncated / count);
  figures.emplace_back("completions/mean_terminated_length", ended_length.Mean());
  figures.emplace_back("sampled_logprob", logprob.Mean());
  for (const auto& [level, share] : correct) figures.emplace_back(fmt::format("accuracy/{}", level), share.Mean());
  return figures;
}

void WriteRollouts(const std::filesystem::path& path, const Tokenizer& tokenizer,
                   const std::vector<RolloutGroup>& groups) {
  std::string text;
  for (const RolloutGroup& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      OrderedJson json;
      json["prompt"] = rollout.problem.prompt;
      json["completion"] = tokenizer.Decode(rollout.completion.tokens);
      json["level"] = rollout.problem.level;
      json["prompt_ids"] = rollout.prompt;
      json["output_ids"] = rollout.completion.tokens;
      json["logprobs"] = rollout.completion.logprobs;
      json["reward"] = rollout.reward;
      json["advantage"] = rollout.advantage;
      json["correct"] = rollout.score.correct;
      for (const RewardPart& part : rollout.score.parts) json["parts"][part.name] = part.value;
      text += json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
    }
  }
  WriteFileAtomically(path, text);
}

}  // namespace sputnik
