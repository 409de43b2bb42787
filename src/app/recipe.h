// A recipe: everything that makes a run, in sections of a TOML file. What is not given has a default; the resolved
// recipe is saved with the run.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "model/adapter.h"
#include "model/config.h"
#include "rl/config.h"
#include "task/registry.h"
#include "train/config.h"
#include "train/ledger.h"

namespace sputnik {

struct RunConfig {
  std::string name = "run";
  std::vector<std::string> stages = {"pretrain", "sft", "improve"};
  std::string from;  // model folder or run folder to start from; empty: random weights
  int64_t seed = 1, threads = 0, arena_mib = 0;
  std::string machine = "cpu";
  void ListFields(Fields& fields);
};

struct TokenizerConfig {
  int64_t vocab_size = 1024;
  bool split_digits = true;
  std::string from;  // folder with a tokenizer to use; empty: train one on the text
  void ListFields(Fields& fields);
};

struct DataConfig {
  std::vector<std::string> text;
  bool percent_separated = false;
  double held_out_fraction = 0.05;
  void ListFields(Fields& fields);
};

struct PretrainConfig {
  TrainConfig train;
  OptimizerConfig optimizer;
  int64_t eval_tokens = 65536;  // of the held-out text, at each evaluation; 0: all of it
  void ListFields(Fields& fields);
};

struct SftConfig {
  TrainConfig train;
  OptimizerConfig optimizer;
  std::string task = "addition", conversations;  // problems of a task, or a JSONL file
  int64_t lowest_level = 1, highest_level = 5;
  double hardest_share = 0;  // share of problems at the highest level; the rest are spread evenly over all levels
  void ListFields(Fields& fields);
};

struct ImproveConfig {
  RlConfig rl;
  TrainConfig train;
  OptimizerConfig optimizer;
  std::string task = "addition";
  void ListFields(Fields& fields);
};

// What `sft` and `improve` learn instead of the weights: an adapter on them.
struct LoraConfig {
  AdapterConfig adapter;
  std::string from;                 // an adapter's folder to go on from; empty: a new one
  std::string optimizer = "adamw";  // whatever the stages' own says
  bool on() const { return adapter.rank > 0 || !from.empty(); }
  void ListFields(Fields& fields);
};

struct EvalConfig {
  int64_t lowest_level = 1, highest_level = 8, problems = 200, samples = 16, max_tokens = 64;
  double temperature = 1;
  int64_t quick_problems = 64;  // of the evaluations within a stage
  int64_t shown = 3;            // completions shown per level
  void ListFields(Fields& fields);
};

// Runs beside `improve` from the same start, to tell learning from drift.
struct ControlsConfig {
  std::vector<std::string> run;  // random_reward, continued_sft, expert_iteration
  int64_t steps = 0;             // rollout rounds; 0: as many as improve had
  void ListFields(Fields& fields);
};

struct Recipe {
  RunConfig run;
  ModelConfig model;
  TokenizerConfig tokenizer;
  DataConfig data;
  PretrainConfig pretrain;
  SftConfig sft;
  ImproveConfig improve;
  LoraConfig lora;
  TaskOptions task;
  EvalConfig eval;
  ControlsConfig controls;
  PriceConfig prices;

  bool HasStage(std::string_view stage) const;
  // The task whose accuracy is measured after stages; empty: none.
  std::string EvaluatedTask() const;

  std::vector<Section> Sections();
  // What no single field can tell: sections that contradict each other. Throws Error (usage).
  void Validate() const;
};

Recipe ReadRecipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

}  // namespace sputnik
