// Settings of training, as recipes spell them.
#pragma once

#include <cstdint>
#include <string>

#include "base/fields.h"

namespace sputnik {

struct OptimizerConfig {
  std::string optimizer = "muon";  // muon: hidden matrices by Muon, the rest by AdamW; adamw: everything
  double lr = 3e-3, adamw_lr_scale = 1, weight_decay = 0.1, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double momentum = 0.95, clip = 1;
  std::string schedule = "linear";  // after warm-up: linear or cosine decay over the last decay_fraction; constant
  int64_t warmup_steps = 100;
  double decay_fraction = 0.2, final_lr_fraction = 0;

  void ListFields(Fields& fields);
};

struct TrainConfig {
  int64_t steps = 1000, batch_tokens = 8192, micro_batch_tokens = 8192, context = 256;
  bool document_mask = true, recompute = false;
  double mtp_weight = 0.3;           // λ of V3 eq. 25
  double bias_update_rate = 1e-3;    // γ of the router bias, V3 §2.1.2
  bool bias_sum_preserving = false;  // Moonlight's variant
  int64_t save_every = 500, keep_last = 2, eval_every = 200, log_every = 20;
  double max_seconds = 0;    // stop the stage, schedule fitted to the time; 0: by steps
  double spike_factor = 20;  // skip a step whose gradient norm passes this many times its running mean
  int64_t max_skipped = 5;   // in a row, then the run ends with exit code 5

  void ListFields(Fields& fields);
};

}  // namespace sputnik
