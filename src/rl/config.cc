#include "rl/config.h"

namespace sputnik {
namespace {

void AtLeast(Field& field, double minimum) { field.minimum = minimum; }

void Between(Field& field, double minimum, double maximum) {
  field.minimum = minimum;
  field.maximum = maximum;
}

}  // namespace

void RlConfig::ListFields(Fields& f) {
  AtLeast(f.Add("steps", &steps, "rollout rounds"), 0);
  AtLeast(f.Add("prompts_per_step", &prompts_per_step, "prompts per round"), 1);
  AtLeast(f.Add("group_size", &group_size, "samples per prompt"), 1);
  AtLeast(f.Add("max_tokens", &max_tokens, "longest completion"), 1);
  Between(f.Add("temperature", &temperature, "of sampling, and of the trained distribution"), 0.01, 10);
  f.Add("reward", &reward, "task, or random (a control)").choices = {"task", "random"};
  f.Add("advantage", &advantage, "mean: r - mean; std: over the deviation too; none: r").choices = {"mean", "std",
                                                                                                    "none"};
  f.Add("loss_normalisation", &loss_normalisation, "token (DAPO), sequence (GRPO) or constant (Dr.GRPO)").choices = {
      "token", "sequence", "constant"};
  f.Add("ratio", &ratio, "importance ratio per token, or per sequence (GSPO)").choices = {"token", "sequence"};
  AtLeast(f.Add("clip_low", &clip_low, "ratio is clipped below 1 - clip_low"), 0);
  AtLeast(f.Add("clip_high", &clip_high, "ratio is clipped above 1 + clip_high"), 0);
  AtLeast(f.Add("kl_weight", &kl_weight, "weight of the KL penalty to the stage's first weights"), 0);
  AtLeast(f.Add("updates_per_round", &updates_per_round, "optimizer steps per round"), 1);
  f.Add("drop_uniform_groups", &drop_uniform_groups, "do not train on groups whose rewards are all equal");
  AtLeast(f.Add("resample_rounds", &resample_rounds, "extra rounds of prompts to fill up with mixed groups"), 0);
  f.Add("scale_lr", &scale_lr, "learning rate times the root of the share of prompts_per_step that are mixed groups");
  f.Add("mask_truncated", &mask_truncated, "do not train on completions that were cut off");
  AtLeast(f.Add("start_level", &start_level, "level to start at"), 1);
  AtLeast(f.Add("max_level", &max_level, "level to end at"), 1);
  Between(f.Add("advance_reward", &advance_reward, "mean reward that counts as solved"), 0, 1);
  AtLeast(f.Add("advance_steps", &advance_steps, "solved rounds in a row before the next level"), 1);
  Between(f.Add("replay", &replay, "share of prompts from earlier levels"), 0, 1);
  AtLeast(f.Add("replay_from", &replay_from, "lowest level replayed"), 1);
  AtLeast(f.Add("save_rollouts_every", &save_rollouts_every, "rounds between saved rollouts; 0: never"), 0);
}

}  // namespace sputnik
