// One optimizer step: forward and backward over micro-batches, the checks that keep a bad step out, the update, and the
// nudge of the router biases.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "train/config.h"
#include "train/loss.h"
#include "train/optimizer.h"

namespace sputnik {

struct StepOptions {
  double lr = 0;
  double clip = 1;
  bool recompute = false, with_entropy = false;
  double mtp_weight = 0, bias_update_rate = 0;
  bool bias_sum_preserving = false;
  double inverse_temperature = 1;
  double spike_limit = 0;  // largest gradient norm that is let through; 0: any
};

struct StepResult {
  double loss = 0, mtp_loss = 0, balance_loss = 0, gradient_norm = 0;
  double entropy = 0;  // mean over targets, nats, if asked for
  int64_t tokens = 0, targets = 0;
  bool skipped = false;
  std::string skip_reason = {};
  std::vector<std::vector<int64_t>> loads = {};  // [layer][expert] tokens
};

class Trainer {
 public:
  Trainer(Decoder& decoder, const Machine& machine, const OptimizerConfig& config, int64_t arena_limit);

  // A step whose loss or gradient is not finite, or whose gradient norm passes the limit, changes nothing: not the
  // weights, the moments, or the biases.
  StepResult Step(std::span<const Batch> micro_batches, const Objective& objective, const StepOptions& options);

  Decoder& decoder() { return decoder_; }
  Optimizer& optimizer() { return optimizer_; }
  const Machine& machine() const { return machine_; }
  Arena& arena() { return arena_; }

 private:
  void ForwardBackward(const Batch& batch, int64_t index, const Objective& objective, const StepOptions& options,
                       double total_weight, double total_tokens, StepResult& result);

  Decoder& decoder_;
  Machine machine_;
  Optimizer optimizer_;
  Arena arena_;
};

}  // namespace sputnik
