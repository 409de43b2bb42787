// What the files of a run folder say about the run. Lines that are broken, as a killed run leaves them, are skipped;
// files that are missing leave their part empty.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/curve.h"

namespace sputnik {

// "sft": "Fine-tuning", and so for parts of the ledger; names that are not ours stay as they are.
std::string StageTitle(const std::string& stage);

// metrics.jsonl, one stage of it.
struct StageRecord {
  std::string name;
  int64_t steps = 0;                    // the last one logged
  std::map<std::string, Curve> curves;  // by metric, over the stage's own steps
  std::vector<double> load_steps;
  std::vector<std::vector<double>> loads;  // expert_loads at those steps: all layers' experts in one list

  const Curve* Find(const std::string& metric) const;
  std::map<int64_t, const Curve*> ByLevel(const std::string& prefix) const;  // metrics called PREFIX/LEVEL
};

// A line of results/STAGE.jsonl.
struct ResultRecord {
  std::string task, split, stage;
  int64_t level = 0;
  double pass_at_1 = 0, pass_at_k = 0;
  int64_t k = 1, n = 0;
  double low = 0, high = 1;  // 95% interval of pass_at_1
  double temperature = 0, mean_tokens = 0;
  uint64_t seed = 0;
};

// A line of results/STAGE.samples.jsonl.
struct SampleRecord {
  std::string stage, task, prompt, answer, completion;
  int64_t level = 0;
  bool correct = false;
};

// A stage of ledger.json, or what was done beside the stages (kEvaluationPart, kOtherPart).
struct CostRecord {
  std::string stage;
  int64_t trained_tokens = 0, generated_tokens = 0;
  double flops = 0, wall_seconds = 0, core_seconds = 0, energy_kwh = 0, energy_cost = 0, core_cost = 0;
  std::string currency;
};

// The run itself, or one of its controls.
struct CourseRecord {
  std::string name;  // of the folder
  std::vector<StageRecord> stages;
  std::vector<CostRecord> costs;

  const StageRecord* FindStage(const std::string& stage) const;
};

// What the newest checkpoint's config.json says.
struct ShapeRecord {
  int64_t parameters = 0, active_parameters = 0, layers = 0, experts = 0, experts_per_token = 0;
  std::vector<int64_t> expert_layers;  // layers with experts, in the order of expert_loads
  int64_t mtp_layers = 0;
};

struct RunRecord {
  CourseRecord run;
  std::vector<CourseRecord> controls;
  std::vector<ResultRecord> results;  // stages in their order, levels rising
  std::vector<SampleRecord> samples;
  double peak_flops = 0;  // of the machine; 0: unknown
  std::optional<ShapeRecord> shape;
  std::string recipe;                         // resolved, as TOML
  std::optional<int64_t> earlier_peak_bytes;  // from a summary.json that is already there

  // The largest train_rollout_logprob_abs_diff of the run and its controls; nothing if no stage measured it.
  std::optional<double> LargestGap() const;
};

RunRecord ReadRunRecord(const std::filesystem::path& run_folder);

}  // namespace sputnik
