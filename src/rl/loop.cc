#include "rl/loop.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop_signal.h"
#include "rl/policy_loss.h"
#include "train/expert_load.h"
#include "train/schedule.h"

namespace sputnik {
namespace {

// One optimizer step's worth of samples, packed, with what the objective needs to know of each entry.
struct PolicyBatch {
  std::vector<Batch> micro_batches;
  std::vector<std::vector<PolicySample>> samples;  // per micro-batch
  std::vector<std::vector<float>> old_logprobs, reference;
  double tokens = 0, count = 0;
};

PolicyBatch MakePolicyBatch(const std::vector<const Rollout*>& rollouts, int64_t micro_batch_tokens) {
  PolicyBatch result;
  std::vector<Sample> samples;
  std::vector<int64_t> lengths;
  for (const Rollout* rollout : rollouts) {
    samples.push_back(TrainingSample(*rollout));
    lengths.push_back(static_cast<int64_t>(samples.back().ids.size()));
  }
  for (const std::vector<int64_t>& chosen : PlanMicroBatches(lengths, micro_batch_tokens)) {
    result.micro_batches.push_back(Pack(samples, chosen));
    auto& entries = result.samples.emplace_back();
    auto& old = result.old_logprobs.emplace_back();
    result.reference.emplace_back();
    for (const int64_t i : chosen) {
      const Rollout& rollout = *rollouts[static_cast<size_t>(i)];
      const auto begin = static_cast<int64_t>(old.size());
      old.insert(old.end(), rollout.completion.logprobs.begin(), rollout.completion.logprobs.end());
      entries.push_back({begin, static_cast<int64_t>(old.size()), rollout.advantage});
      result.tokens += static_cast<double>(rollout.completion.tokens.size());
      result.count += 1;
    }
  }
  return result;
}

std::vector<const Rollout*> Trainable(const RlConfig& config, const std::vector<RolloutGroup>& groups) {
  std::vector<const Rollout*> chosen;
  for (const RolloutGroup& group : groups) {
    if (config.drop_uniform_groups && group.uniform) continue;
    for (const Rollout& rollout : group.rollouts) {
      if (config.mask_truncated && rollout.completion.reason == FinishReason::kLength) continue;
      if (config.advantage == "none" && rollout.advantage == 0) continue;  // nothing to imitate
      if (!rollout.completion.tokens.empty()) chosen.push_back(&rollout);
    }
  }
  return chosen;
}

// Mixed groups over the number that a round asks for, at most 1.
double MixedShare(const RlConfig& config, const std::vector<RolloutGroup>& groups) {
  const auto mixed = std::count_if(groups.begin(), groups.end(), [](const RolloutGroup& g) { return !g.uniform; });
  return std::min(1.0, static_cast<double>(mixed) / static_cast<double>(config.prompts_per_step));
}

void ScoreReference(const Decoder& reference, Trainer& trainer, double inverse_temperature, PolicyBatch& batch) {
  for (size_t i = 0; i < batch.micro_batches.size(); ++i) {
    const ArenaScope scope(trainer.arena());
    Pass pass(trainer.machine(), trainer.arena());
    const ForwardResult out = reference.Forward(pass, batch.micro_batches[i]);
    const std::span<float> logprobs =
        reference.TargetLogProbs(pass, out.hidden, batch.micro_batches[i].targets, nullptr, inverse_temperature)
            .logprob.span<float>();
    batch.reference[i].assign(logprobs.begin(), logprobs.end());
  }
}

// Mean reward over the current level's prompts: what the curriculum decides by. Nothing if the round had none.
std::optional<double> RewardAtLevel(const std::vector<RolloutGroup>& groups, int64_t level) {
  double sum = 0, count = 0;
  for (const RolloutGroup& group : groups) {
    for (const Rollout& rollout : group.rollouts) {
      if (rollout.problem.level != level) continue;
      sum += rollout.reward;
      ++count;
    }
  }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}

// What the round's updates came to.
struct Learnt {
  StepResult last;
  std::vector<StepResult> updates;
  PolicyStats first_stats;  // of the first update: there new and old log-probabilities must be equal
  PolicyStats all;
  int64_t trained_tokens = 0;
  ExpertLoads loads;  // of all updates
};

class ImproveLoop {
 public:
  ImproveLoop(Trainer& trainer, RunFolder& run, const ImproveInputs& inputs, const RunState& start)
      : trainer_(trainer),
        run_(run),
        in_(inputs),
        state_(start),
        guard_(inputs.train, start),
        curriculum_(inputs.rl, start),
        engine_(trainer.decoder(), trainer.machine(),
                {.max_sequences = inputs.rl.prompts_per_step * inputs.rl.group_size}),
        cost_(run.ledger().stage(inputs.name)) {
    state_.stage = inputs.name;
    wall_start_ = WallSeconds();
    seconds_before_ = state_.numbers.contains("stage.seconds") ? state_.numbers["stage.seconds"] : 0;
    saved_ = run.checkpoint() ? state_.stage_step : -1;
  }

  StageResult Run() {
    Progress progress(in_.name, in_.rl.steps, state_.stage_step);
    if (in_.train.max_seconds > 0) progress.EndsWithin(in_.train.max_seconds - Elapsed());
    run_.ledger().Book(kOtherPart);  // what came before
    bool last = state_.stage_step >= in_.rl.steps || state_.stage_done;
    while (!last) {
      if (StopRequested()) {
        // As in RunStage: the end of the stage before this one must not be replaced.
        if (saved_ != state_.stage_step) Save(false);
        return {.state = state_, .stopped = true};
      }
      const MetricsLine line = Round(progress, last);
      const bool best = NoteQuality(line, in_.first_global_step + state_.stage_step, state_);
      const bool due = in_.train.save_every > 0 && state_.stage_step % in_.train.save_every == 0;
      if (!last && (best || due)) Save(false);
    }
    progress.Finish();
    if (!state_.stage_done) Save(true);
    return {.state = state_};
  }

 private:
  double Elapsed() const { return seconds_before_ + WallSeconds() - wall_start_; }
  bool OutOfTime() const { return in_.train.max_seconds > 0 && Elapsed() >= in_.train.max_seconds; }

  // One round; `last` says whether the stage ends with it. Returns what was logged.
  MetricsLine Round(Progress& progress, bool& last) {
    const double wall = WallSeconds();
    const int64_t step = state_.stage_step;
    const std::vector<RolloutGroup> groups =
        CollectRollouts({engine_, in_.tokenizer, in_.task, in_.rl, in_.seed}, curriculum_, step);
    const Learnt learnt = Learn(Trainable(in_.rl, groups), MixedShare(in_.rl, groups), step);
    engine_.WeightsChanged();
    ++state_.stage_step;
    last = state_.stage_step >= in_.rl.steps || OutOfTime();
    const double seconds = WallSeconds() - wall;
    Account(groups, learnt);
    if (in_.rl.save_rollouts_every > 0 && state_.stage_step % in_.rl.save_rollouts_every == 0) {
      std::filesystem::create_directories(run_.path() / "rollouts");
      WriteRollouts(run_.path() / "rollouts" / fmt::format("step-{}.jsonl", state_.stage_step), in_.tokenizer, groups);
    }
    const int64_t level = curriculum_.level();
    const std::optional<double> reward = RewardAtLevel(groups, level);
    MetricsLine line = LogRound(groups, learnt, level, reward, seconds, last);
    progress.Update(state_.stage_step,
                    fmt::format("level {}  reward {:.2f}  {:.2f} s", level, reward.value_or(0), seconds));
    if (reward && curriculum_.Note(*reward)) {
      LogDebug("{}: level {} solved, on to {}", in_.name, level, curriculum_.level());
    }
    for (const StepResult& update : learnt.updates) guard_.Note(update, run_);
    return line;
  }

  Learnt Learn(const std::vector<const Rollout*>& rollouts, double mixed_share, int64_t step) {
    Learnt learnt;
    double progress = static_cast<double>(step) / static_cast<double>(in_.rl.steps);
    if (in_.train.max_seconds > 0) progress = std::max(progress, Elapsed() / in_.train.max_seconds);
    lr_ = in_.optimizer.lr * LearningRateFactor(in_.optimizer, step, progress);
    // Muon's and AdamW's steps have the same size however little the gradient says: a few groups' noise would move the
    // weights as far as a full round's signal, and what is solved already would drift away. The square root is the rule
    // for batch sizes under such optimizers (Malladi et al. 2022, arXiv 2205.10287).
    if (in_.rl.scale_lr) lr_ *= std::sqrt(mixed_share);
    const auto updates = static_cast<size_t>(in_.rl.updates_per_round);
    for (size_t update = 0; update < updates; ++update) {
      std::vector<const Rollout*> share;
      for (size_t i = update; i < rollouts.size(); i += updates) share.push_back(rollouts[i]);
      if (share.empty()) continue;
      PolicyBatch batch = MakePolicyBatch(share, in_.train.micro_batch_tokens);
      if (in_.rl.kl_weight > 0) ScoreReference(*in_.reference, trainer_, 1 / in_.rl.temperature, batch);
      PolicyStats stats;
      learnt.last = trainer_.Step(batch.micro_batches,
                                  [&](const ObjectiveInput& input, std::span<float> seeds) {
                                    const auto i = static_cast<size_t>(input.micro_batch);
                                    return PolicyLoss(in_.rl, batch.samples[i], input.logprobs, batch.old_logprobs[i],
                                                      batch.reference[i], batch.tokens, batch.count, seeds, stats);
                                  },
                                  {.lr = lr_,
                                   .clip = in_.optimizer.clip,
                                   .recompute = in_.train.recompute,
                                   .with_entropy = true,
                                   .bias_update_rate = in_.train.bias_update_rate,
                                   .bias_sum_preserving = in_.train.bias_sum_preserving,
                                   .inverse_temperature = 1 / in_.rl.temperature,
                                   .spike_limit = guard_.Limit()});
      if (update == 0) learnt.first_stats = stats;
      learnt.all.kl += stats.kl;
      learnt.all.tokens += stats.tokens;
      learnt.all.ratios += stats.ratios;
      learnt.all.clipped_low += stats.clipped_low;
      learnt.all.clipped_high += stats.clipped_high;
      learnt.trained_tokens += learnt.last.tokens;
      AddLoads(learnt.last.loads, learnt.loads);
      learnt.updates.push_back(learnt.last);
    }
    return learnt;
  }

  void Account(const std::vector<RolloutGroup>& groups, const Learnt& learnt) {
    double generated = 0, prompt = 0;
    for (const RolloutGroup& group : groups) {
      prompt += static_cast<double>(group.rollouts.front().prompt.size());
      for (const Rollout& rollout : group.rollouts) generated += static_cast<double>(rollout.completion.tokens.size());
    }
    const double context = prompt / static_cast<double>(groups.size());
    const double forward = ForwardFlopsPerToken(trainer_.decoder().config(), context, false);
    cost_.generated_tokens += static_cast<int64_t>(generated);
    cost_.trained_tokens += learnt.trained_tokens;
    cost_.flops += forward * (generated + prompt + 3 * static_cast<double>(learnt.trained_tokens));
  }

  MetricsLine LogRound(const std::vector<RolloutGroup>& groups, const Learnt& learnt, int64_t level,
                       std::optional<double> reward, double seconds, bool last) {
    MetricsLine line(in_.name, state_.stage_step);
    line.Set("global_step", in_.first_global_step + state_.stage_step);
    line.Set("level", level);
    if (reward) line.Set("level_reward", *reward);
    for (const auto& [name, value] : RolloutMetrics(groups)) line.Set(name, value);
    const auto tokens = static_cast<double>(std::max<int64_t>(learnt.all.tokens, 1));
    line.Set("loss", learnt.last.loss);
    line.Set("grad_norm", learnt.last.gradient_norm);
    line.Set("lr", lr_);
    line.Set("entropy", learnt.last.entropy);
    if (in_.rl.kl_weight > 0) line.Set("kl", learnt.all.kl / tokens);
    const auto ratios = static_cast<double>(std::max<int64_t>(learnt.all.ratios, 1));
    const auto low = static_cast<double>(learnt.all.clipped_low), high = static_cast<double>(learnt.all.clipped_high);
    line.Set("clip_ratio/low_mean", low / ratios);
    line.Set("clip_ratio/high_mean", high / ratios);
    line.Set("clip_ratio/region_mean", (low + high) / ratios);
    // A round that trained on nothing has compared nothing, and must not claim a gap of 0.
    if (learnt.first_stats.tokens > 0) {
      line.Set("train_rollout_logprob_abs_diff", learnt.first_stats.max_abs_difference);
    }
    line.Set("num_tokens", cost_.trained_tokens + cost_.generated_tokens);
    for (const StepResult& update : learnt.updates) {
      if (!update.skipped) continue;
      line.Set("skipped", update.skip_reason);
      break;
    }
    LogLoads(learnt.loads, state_.stage_step % in_.train.log_every == 0 || last, line);
    line.Set("step_time", seconds);
    if (in_.evaluate && (last || (in_.train.eval_every > 0 && state_.stage_step % in_.train.eval_every == 0))) {
      run_.ledger().Book(in_.name);
      in_.evaluate(state_.stage_step, line);
      run_.ledger().Book(kEvaluationPart);
    }
    run_.Log(line);
    return line;
  }

  void Save(bool done) {
    state_.stage_done = done;
    saved_ = state_.stage_step;
    state_.global_step = in_.first_global_step + state_.stage_step;
    state_.numbers["stage.seconds"] = Elapsed();
    guard_.Store(state_);
    curriculum_.Store(state_);
    run_.Save(state_, trainer_.decoder(), trainer_.optimizer(), in_.train.keep_last, done);
  }

  Trainer& trainer_;
  RunFolder& run_;
  const ImproveInputs& in_;
  RunState state_;
  SpikeGuard guard_;
  Curriculum curriculum_;
  Engine engine_;
  StageCost& cost_;
  int64_t saved_ = -1;  // the stage's step that the newest checkpoint holds
  double wall_start_ = 0, seconds_before_ = 0, lr_ = 0;
};

}  // namespace

StageResult RunImprove(Trainer& trainer, RunFolder& run, const ImproveInputs& inputs, const RunState& start) {
  CHECK(inputs.rl.kl_weight == 0 || inputs.reference != nullptr);
  return ImproveLoop(trainer, run, inputs, start).Run();
}

}  // namespace sputnik
