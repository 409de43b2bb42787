// A run from its recipe: tokenizer, data, stages, evaluations, controls. Each part is skipped when the run folder
// already has it, so a run that was stopped anywhere goes on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "app/recipe.h"
#include "data/shard.h"
#include "eval/answers.h"
#include "model/decoder.h"
#include "op/pass.h"
#include "text/tokenizer.h"
#include "train/loop.h"
#include "train/run_folder.h"

namespace sputnik {

class Pipeline {
 public:
  Pipeline(Recipe recipe, const std::filesystem::path& folder, bool resume);

  // Runs everything. Returns false if a signal stopped it with a checkpoint saved.
  bool Run();

  const std::filesystem::path& folder() const { return run_.path(); }

 private:
  void PrepareTokenizer();
  void PrepareText();
  void MakeModel();
  bool PretrainingIsAhead() const;
  void StartWeightsAt(const std::filesystem::path& folder);  // all of which learn
  void StartAdapterAt(const std::filesystem::path& folder);  // with an adapter that learns
  OptimizerConfig OptimizerFor(OptimizerConfig config) const;

  // Runs one stage unless the run is past it. False: stopped.
  bool RunStageNamed(const std::string& name);
  StageResult Pretrain(RunFolder& run, const RunState& start);
  StageResult Sft(RunFolder& run, const std::string& name, const SftConfig& config, const RunState& start);
  StageResult Improve(RunFolder& run, const std::string& name, const ImproveConfig& config, const RunState& start);
  std::filesystem::path ImproveStart() const;  // the model that `improve` starts from, and its controls
  bool RunControl(const std::string& name);

  // Writes results/NAME.jsonl (held-out accuracy by level) and results/NAME.samples.jsonl, unless they are there. The
  // costs are `run`'s, which is the whole run or a control.
  void EvaluateStage(const std::string& name, RunFolder& run);
  void QuickAccuracy(const Task& task, RunFolder& run, MetricsLine& line) const;
  void CountAnswers(const AnswerEvalResult& result, RunFolder& run) const;
  Machine machine() { return {*kernels_, pool_}; }
  Machine machine() const { return {*kernels_, pool_}; }
  int64_t ArenaLimit() const;

  Recipe recipe_;
  const Kernels* kernels_;
  mutable ThreadPool pool_;
  RunFolder run_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Shard> train_text_, held_out_text_;
  std::unique_ptr<Decoder> decoder_;
  RunState state_;  // at the end of the last stage
};

}  // namespace sputnik
