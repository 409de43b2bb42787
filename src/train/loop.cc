#include "train/loop.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop_signal.h"
#include "train/expert_load.h"
#include "train/schedule.h"

namespace sputnik {
namespace {

double Number(const RunState& state, const char* key) {
  const auto found = state.numbers.find(key);
  return found == state.numbers.end() ? 0 : found->second;
}

}  // namespace

SpikeGuard::SpikeGuard(const TrainConfig& config, const RunState& state)
    : config_(config),
      mean_norm_(Number(state, "spike.mean_norm")),
      steps_(Number(state, "spike.steps")),
      skipped_in_row_(Number(state, "spike.skipped_in_row")) {}

double SpikeGuard::Limit() const {
  constexpr double kSettled = 20;  // norms of the first steps say nothing yet
  constexpr double kSmall = 1;     // when nearly all is learnt, one odd example is many times the mean, and no spike
  return config_.spike_factor > 0 && steps_ >= kSettled ? config_.spike_factor * std::max(mean_norm_, kSmall) : 0;
}

void SpikeGuard::Note(const StepResult& result, const RunFolder& run) {
  if (!result.skipped) {
    skipped_in_row_ = 0;
    steps_ += 1;
    mean_norm_ += (result.gradient_norm - mean_norm_) / std::min(steps_, 100.0);
    return;
  }
  skipped_in_row_ += 1;
  LogWarning("step skipped: {}", result.skip_reason);
  if (skipped_in_row_ >= static_cast<double>(config_.max_skipped)) {
    throw Error(
        ExitCode::kNumeric,
        fmt::format("{} steps in a row were skipped, the last because {}; the last good checkpoint is {}; lower "
                    "the learning rate and go on from there",
                    config_.max_skipped, result.skip_reason,
                    run.checkpoint() ? run.checkpoint()->string() : "none (nothing was saved yet)"));
  }
}

void SpikeGuard::Store(RunState& state) const {
  state.numbers["spike.mean_norm"] = mean_norm_;
  state.numbers["spike.steps"] = steps_;
  state.numbers["spike.skipped_in_row"] = skipped_in_row_;
}

bool NoteQuality(const MetricsLine& line, int64_t global_step, RunState& state) {
  constexpr const char* kBest = "best.quality";
  if (!line.quality() || !std::isfinite(*line.quality())) return false;
  if (state.best_step >= 0 && *line.quality() <= Number(state, kBest)) return false;
  state.numbers[kBest] = *line.quality();
  state.best_step = global_step;
  return true;
}

StageResult RunStage(Trainer& trainer, RunFolder& run, const StageInputs& inputs, const RunState& start) {
  const TrainConfig& config = inputs.train;
  StageResult result;
  RunState& state = result.state;
  state = start;
  state.stage = inputs.name;
  SpikeGuard guard(config, state);
  StageCost& cost = run.ledger().stage(inputs.name);
  const double seconds_before = Number(state, "stage.seconds"), wall_start = WallSeconds();
  const bool with_mtp = config.mtp_weight > 0 && trainer.decoder().config().num_nextn_predict_layers > 0;
  const double flops_per_token =
      3 * ForwardFlopsPerToken(trainer.decoder().config(), 0.5 * static_cast<double>(config.context), with_mtp);
  Progress progress(inputs.name, config.steps, state.stage_step);
  const auto elapsed = [&] { return seconds_before + WallSeconds() - wall_start; };
  if (config.max_seconds > 0) progress.EndsWithin(config.max_seconds - elapsed());
  int64_t saved = run.checkpoint() ? state.stage_step : -1;  // the stage's step that the newest checkpoint holds
  const auto save = [&](bool done) {
    state.stage_done = done;
    saved = state.stage_step;
    state.global_step = inputs.first_global_step + state.stage_step;
    state.numbers["stage.seconds"] = elapsed();
    guard.Store(state);
    run.Save(state, trainer.decoder(), trainer.optimizer(), config.keep_last, done);
  };

  run.ledger().Book(kOtherPart);  // what came before
  bool last = state.stage_step >= config.steps || state.stage_done;
  while (!last) {
    if (StopRequested()) {
      // Where nothing was done since, saving again would only replace the end of the stage before this one.
      if (saved != state.stage_step) save(false);
      result.stopped = true;
      return result;
    }
    const int64_t step = state.stage_step;
    double share_done = static_cast<double>(step) / static_cast<double>(config.steps);
    if (config.max_seconds > 0) share_done = std::max(share_done, elapsed() / config.max_seconds);
    const double lr = inputs.optimizer.lr * LearningRateFactor(inputs.optimizer, step, share_done);
    const double step_start = WallSeconds();
    const std::vector<Batch> batches = inputs.batches(step);
    const double total_weight = TotalWeight(batches);
    const StepResult step_result =
        trainer.Step(batches,
                     [&](const ObjectiveInput& input, std::span<float> seeds) {
                       return CrossEntropy(input.rows, input.batch.weights, input.logprobs, total_weight, seeds);
                     },
                     {.lr = lr,
                      .clip = inputs.optimizer.clip,
                      .recompute = config.recompute,
                      .mtp_weight = with_mtp ? config.mtp_weight : 0,
                      .bias_update_rate = config.bias_update_rate,
                      .bias_sum_preserving = config.bias_sum_preserving,
                      .spike_limit = guard.Limit()});
    const double seconds = WallSeconds() - step_start;
    ++state.stage_step;
    result.last_loss = step_result.loss;
    cost.trained_tokens += step_result.tokens;
    cost.flops += flops_per_token * static_cast<double>(step_result.tokens);

    const double tokens_per_second = static_cast<double>(step_result.tokens) / seconds;
    MetricsLine line(inputs.name, state.stage_step);
    line.Set("global_step", inputs.first_global_step + state.stage_step);
    line.Set("loss", step_result.loss);
    if (with_mtp) line.Set("mtp_loss", step_result.mtp_loss);
    line.Set("grad_norm", step_result.gradient_norm);
    line.Set("lr", lr);
    line.Set("num_tokens", cost.trained_tokens);
    if (step_result.skipped) line.Set("skipped", step_result.skip_reason);
    line.Set("step_time", seconds);
    line.Set("tokens_per_second", tokens_per_second);
    const double peak = run.ledger().peak_flops();
    if (peak > 0) line.Set("peak_share", flops_per_token * tokens_per_second / peak);
    // Asked once: time that runs out between two questions would end the stage without its last evaluation.
    last = state.stage_step >= config.steps || (config.max_seconds > 0 && elapsed() >= config.max_seconds);
    LogLoads(step_result.loads, state.stage_step % config.log_every == 0 || last, line);
    if (inputs.evaluate && (last || (config.eval_every > 0 && state.stage_step % config.eval_every == 0))) {
      run.ledger().Book(inputs.name);
      inputs.evaluate(state.stage_step, line);
      run.ledger().Book(kEvaluationPart);
    }
    run.Log(line);
    progress.Update(
        state.stage_step,
        fmt::format("loss {:.4f}  {:.0f} tokens/s{}", step_result.loss, tokens_per_second,
                    peak > 0 ? fmt::format("  {:.0f}% of peak", 100 * flops_per_token * tokens_per_second / peak)
                             : std::string()));
    guard.Note(step_result, run);
    const bool best = NoteQuality(line, inputs.first_global_step + state.stage_step, state);
    if (!last && (best || (config.save_every > 0 && state.stage_step % config.save_every == 0))) save(false);
  }
  progress.Finish();
  if (!state.stage_done) save(true);
  return result;
}

}  // namespace sputnik
