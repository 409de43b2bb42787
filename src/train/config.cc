#include "train/config.h"

namespace sputnik {
namespace {

void AtLeast(Field& field, double minimum) { field.minimum = minimum; }

void Between(Field& field, double minimum, double maximum) {
  field.minimum = minimum;
  field.maximum = maximum;
}

}  // namespace

void OptimizerConfig::ListFields(Fields& f) {
  f.Add("optimizer", &optimizer, "muon or adamw").choices = {"muon", "adamw"};
  AtLeast(f.Add("lr", &lr, "peak learning rate"), 0);
  AtLeast(f.Add("adamw_lr_scale", &adamw_lr_scale, "with muon: factor on lr for what AdamW updates"), 0);
  AtLeast(f.Add("weight_decay", &weight_decay, "decoupled weight decay of matrices"), 0);
  Between(f.Add("beta1", &beta1, "AdamW's first moment"), 0, 1);
  Between(f.Add("beta2", &beta2, "AdamW's second moment"), 0, 1);
  AtLeast(f.Add("epsilon", &epsilon, "AdamW's epsilon"), 0);
  Between(f.Add("momentum", &momentum, "Muon's momentum"), 0, 1);
  AtLeast(f.Add("clip", &clip, "largest global gradient norm; 0: no limit"), 0);
  f.Add("schedule", &schedule, "linear, cosine or constant").choices = {"linear", "cosine", "constant"};
  AtLeast(f.Add("warmup_steps", &warmup_steps, "steps of linear warm-up"), 0);
  Between(f.Add("decay_fraction", &decay_fraction, "share of the steps that the decay takes"), 0, 1);
  Between(f.Add("final_lr_fraction", &final_lr_fraction, "learning rate at the end, as a share of lr"), 0, 1);
}

void TrainConfig::ListFields(Fields& f) {
  AtLeast(f.Add("steps", &steps, "optimizer steps"), 0);
  AtLeast(f.Add("batch_tokens", &batch_tokens, "tokens per optimizer step"), 1);
  AtLeast(f.Add("micro_batch_tokens", &micro_batch_tokens, "tokens per forward and backward; more are accumulated"), 1);
  AtLeast(f.Add("context", &context, "tokens per training window"), 2);
  f.Add("document_mask", &document_mask, "tokens see only their own document");
  f.Add("recompute", &recompute, "keep only block inputs and run blocks twice: less memory, a third more work");
  AtLeast(f.Add("mtp_weight", &mtp_weight, "weight of the multi-token prediction loss"), 0);
  AtLeast(f.Add("bias_update_rate", &bias_update_rate, "step of the router bias; 0: off"), 0);
  f.Add("bias_sum_preserving", &bias_sum_preserving, "Moonlight's form, which keeps the sum of biases");
  AtLeast(f.Add("save_every", &save_every, "steps between checkpoints; 0: only at the end"), 0);
  AtLeast(f.Add("keep_last", &keep_last, "checkpoints to keep beside the best"), 1);
  AtLeast(f.Add("eval_every", &eval_every, "steps between evaluations; 0: only at the end"), 0);
  AtLeast(f.Add("log_every", &log_every, "steps between log lines"), 1);
  AtLeast(f.Add("max_seconds", &max_seconds, "wall time of the stage; 0: by steps alone"), 0);
  AtLeast(f.Add("spike_factor", &spike_factor,
                "skip steps whose gradient norm is this many times the mean, or 1; 0: never"),
          0);
  AtLeast(f.Add("max_skipped", &max_skipped, "skipped steps in a row before the run gives up"), 1);
}

}  // namespace sputnik
