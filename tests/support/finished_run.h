// A run folder as a finished run leaves it: three stages and three controls with figures that behave like real ones,
// written through the same rooms that a run writes them with.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "eval/answers.h"
#include "model/config.h"
#include "train/ledger.h"
#include "train/metrics.h"

namespace sputnik {

inline constexpr int64_t kRunLevels = 12, kPretrainSteps = 1500, kImproveSteps = 260;

// Even noise in [-1, 1] that is the same in every run.
inline double Wobble(int64_t i) {
  const double value = std::sin(static_cast<double>(i) * 12.9898) * 43758.5453;
  return 2 * (value - std::floor(value)) - 1;
}

// A level's accuracy when the skill has grown to `skill` levels.
inline double AccuracyAt(double skill, int64_t level) {
  return 1 / (1 + std::exp(1.6 * (static_cast<double>(level) - skill)));
}

inline double SkillAfter(const std::string& stage, double done) {
  if (stage == "improve") return 4 + 10 * done;
  if (stage == "control_expert_iteration") return 4 + 3 * done;
  return 4;
}

// Tokens per expert of three layers, unbalanced at first.
inline std::vector<int64_t> LoadsAt(int64_t step, double done) {
  std::vector<int64_t> loads;
  for (int64_t i = 0; i < 3 * 16; ++i) {
    const double tilt = 1.6 * std::exp(-4 * done) * Wobble(i * 31);
    loads.push_back(std::llround(512 * std::exp(tilt + 0.1 * Wobble(i + step * 131))));
  }
  return loads;
}

inline void WriteSupervisedMetrics(LineAppender& out, const std::string& stage, int64_t steps, bool on_text) {
  for (int64_t step = 1; step <= steps; ++step) {
    const double done = static_cast<double>(step) / static_cast<double>(steps);
    MetricsLine line(stage, step);
    line.Set("loss", (on_text ? 2.1 : 0.4) + 4.6 * std::exp(-9 * done) + 0.12 * Wobble(step));
    line.Set("grad_norm", 1 + 0.3 * Wobble(step + 7));
    line.Set("tokens_per_second", 21000 + 500 * Wobble(step));
    if (step % 10 == 0) line.Set("expert_loads", LoadsAt(step, done));
    if (on_text && step % 100 == 0) {
      line.Set("val_loss", 2.25 + 4.4 * std::exp(-9 * done));
      line.Set("val_bpb", 1.31 + 2.6 * std::exp(-9 * done));
      line.Set("val_bpb_ci95_low", 1.28 + 2.6 * std::exp(-9 * done));
      line.Set("val_bpb_ci95_high", 1.34 + 2.6 * std::exp(-9 * done));
    }
    if (!on_text && step % 20 == 0) {
      for (int64_t level = 1; level <= kRunLevels; ++level) {
        line.Set("eval/accuracy/" + std::to_string(level), AccuracyAt(4, level) * std::min(1.0, 2 * done));
      }
    }
    out.Append(line.Text());
  }
}

inline void WriteImproveMetrics(LineAppender& out, const std::string& stage) {
  for (int64_t step = 1; step <= kImproveSteps; ++step) {
    const double done = static_cast<double>(step) / static_cast<double>(kImproveSteps);
    const double skill = SkillAfter(stage, done);
    const int64_t hardest = std::min<int64_t>(kRunLevels, std::llround(skill) + 1);
    MetricsLine line(stage, step);
    line.Set("level", hardest);
    line.Set("level_reward", std::clamp(AccuracyAt(skill, hardest) + 0.2 * Wobble(step), 0.0, 1.0));
    line.Set("reward", std::clamp(0.6 + 0.3 * done + 0.1 * Wobble(step + 3), 0.0, 1.0));
    line.Set("completions/mean_length", 6 + 8 * done + Wobble(step + 9));
    for (int64_t level = 1; level <= hardest; ++level) {
      line.Set("accuracy/" + std::to_string(level),
               std::clamp(AccuracyAt(skill, level) + 0.1 * Wobble(step * 17 + level), 0.0, 1.0));
    }
    line.Set("loss", 0.02 * Wobble(step + 5));
    line.Set("entropy", 0.5 * std::exp(-2 * done) + 0.02 * Wobble(step + 11));
    line.Set("train_rollout_logprob_abs_diff", 0.0);
    if (step % 20 == 0) {
      line.Set("expert_loads", LoadsAt(step, 1));
      for (int64_t level = 1; level <= kRunLevels; ++level) {
        line.Set("eval/accuracy/" + std::to_string(level), AccuracyAt(skill, level));
      }
    }
    out.Append(line.Text());
  }
}

inline std::string ResultsOf(const std::string& stage) {
  std::string lines;
  for (int64_t level = 1; level <= kRunLevels; ++level) {
    AnswerEvalResult result;
    result.task = "addition";
    result.options = {.level = level, .problems = 200, .samples = 16, .temperature = 1, .seed = 2001};
    result.pass_at_1 = AccuracyAt(SkillAfter(stage, 1), level);
    result.pass_at_k = 1 - std::pow(1 - result.pass_at_1, 4);
    const double half = 1.96 * std::sqrt(result.pass_at_1 * (1 - result.pass_at_1) / 200);
    result.ci95_low = std::max(0.0, result.pass_at_1 - half);
    result.ci95_high = std::min(1.0, result.pass_at_1 + half);
    result.mean_tokens = 7.25;
    lines += ResultJson(result, stage) + "\n";
  }
  return lines;
}

inline std::string SamplesOf(const std::string& stage) {
  std::string lines;
  for (int64_t i = 0; i < 3 * kRunLevels; ++i) {
    const int64_t level = i / 3 + 1;
    const auto digits = [&](int64_t salt) {
      std::string text;
      for (int64_t d = 0; d < level; ++d)
        text += static_cast<char>('1' + std::abs(std::llround(8 * Wobble(i * 7 + d + salt))));
      return text;
    };
    const bool correct = static_cast<double>(level) < SkillAfter(stage, 1);
    const OrderedJson json = {{"stage", stage},      {"task", "addition"},
                              {"level", level},      {"prompt", digits(1) + " + " + digits(2) + " ="},
                              {"answer", digits(3)}, {"completion", correct ? digits(3) : digits(4)},
                              {"correct", correct}};
    lines += json.dump() + "\n";
  }
  return lines;
}

inline void WriteFinishedRun(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const PriceConfig prices;
  fs::create_directories(folder / "results");
  {
    LineAppender metrics(folder / "metrics.jsonl");
    WriteSupervisedMetrics(metrics, "pretrain", kPretrainSteps, true);
    WriteSupervisedMetrics(metrics, "sft", 300, false);
    WriteImproveMetrics(metrics, "improve");
  }
  Ledger ledger(prices, 524e9);
  ledger.stage("pretrain") = {
      .trained_tokens = 3072000, .flops = 1.9e13, .wall_seconds = 152.25, .core_seconds = 301.5};
  ledger.stage("sft") = {.trained_tokens = 614400, .flops = 3.9e12, .wall_seconds = 31.5, .core_seconds = 62};
  ledger.stage("improve") = {.trained_tokens = 901120,
                             .generated_tokens = 1105920,
                             .flops = 8.1e12,
                             .wall_seconds = 240.125,
                             .core_seconds = 471.75};
  ledger.Save(folder / "ledger.json");
  for (const auto& [name, stage] : {std::pair<std::string, std::string>{"random_reward", "control_random"},
                                    {"continued_sft", "control_continued_sft"},
                                    {"expert_iteration", "control_expert_iteration"}}) {
    const fs::path control = folder / "controls" / name;
    fs::create_directories(control);
    LineAppender metrics(control / "metrics.jsonl");
    Ledger costs(prices, 524e9);
    if (name == "continued_sft") {
      WriteSupervisedMetrics(metrics, stage, kImproveSteps, false);
      costs.stage(stage) = {.trained_tokens = 532480, .flops = 3.3e12, .wall_seconds = 27, .core_seconds = 53.5};
    } else {
      WriteImproveMetrics(metrics, stage);
      costs.stage(stage) = {.trained_tokens = 880000,
                            .generated_tokens = 1100000,
                            .flops = 8e12,
                            .wall_seconds = 236,
                            .core_seconds = 465.5};
    }
    costs.Save(control / "ledger.json");
    WriteFileAtomically(folder / "results" / (stage + ".jsonl"), ResultsOf(stage));
  }
  for (const std::string stage : {"sft", "improve"}) {
    WriteFileAtomically(folder / "results" / (stage + ".jsonl"), ResultsOf(stage));
    WriteFileAtomically(folder / "results" / (stage + ".samples.jsonl"), SamplesOf(stage));
  }
  ModelConfig config;
  config.vocab_size = 1024;
  config.num_hidden_layers = 3;
  config.num_nextn_predict_layers = 1;
  fs::create_directories(folder / "checkpoints" / "step-2060");
  WriteFileAtomically(folder / "checkpoints" / "step-2060" / "config.json", WriteModelConfig(config));
  WriteFileAtomically(folder / "recipe.toml", "[run]\nname = \"demo\"\nseed = 1\n");
}

}  // namespace sputnik
