// The loop of a supervised stage (pretraining, fine-tuning): batches in, steps, metrics, checkpoints, a polite stop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/run_folder.h"
#include "train/step.h"

namespace sputnik {

struct StageInputs {
  std::string name;  // of the stage, as in metrics and checkpoints
  int64_t first_global_step = 0;
  TrainConfig train;
  OptimizerConfig optimizer;
  // The micro-batches of one step: a pure function of the step number.
  std::function<std::vector<Batch>(int64_t step)> batches;
  // Called every eval_every steps and at the end; adds its figures to the line, and its quality if the best checkpoint
  // is to be kept. May be empty.
  std::function<void(int64_t step, MetricsLine& line)> evaluate;
};

struct StageResult {
  RunState state;        // at the end
  bool stopped = false;  // by a signal; a checkpoint was saved
  double last_loss = 0;
};

// Runs the stage from `start` (stage_step 0 for a fresh one) to its end and saves. A step with a non-finite loss or
// gradient or a spike is skipped and logged; max_skipped in a row end the run with Error (numeric) naming the last
// checkpoint.
StageResult RunStage(Trainer& trainer, RunFolder& run, const StageInputs& inputs, const RunState& start);

// Notes the quality that an evaluation gave the line, if any. True if it is the stage's best so far: the loop then
// saves.
bool NoteQuality(const MetricsLine& line, int64_t global_step, RunState& state);

// Keeps an eye on gradient norms and skipped steps over a stage.
class SpikeGuard {
 public:
  SpikeGuard(const TrainConfig& config, const RunState& state);

  double Limit() const;  // for the next step; 0: none
  // Notes a step's outcome; throws Error (numeric) after too many skipped steps in a row.
  void Note(const StepResult& result, const RunFolder& run);
  void Store(RunState& state) const;

 private:
  const TrainConfig& config_;
  double mean_norm_ = 0, steps_ = 0, skipped_in_row_ = 0;
};

}  // namespace sputnik
