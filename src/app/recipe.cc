#include "app/recipe.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/family.h"

namespace sputnik {
namespace {

const std::vector<std::string> kStages = {"pretrain", "sft", "improve"};
const std::vector<std::string> kControls = {"random_reward", "continued_sft", "expert_iteration"};

void CheckNames(const std::vector<std::string>& names, const std::vector<std::string>& valid, std::string_view key) {
  for (const std::string& name : names) {
    if (std::find(valid.begin(), valid.end(), name) != valid.end()) continue;
    ThrowUsage("recipe: `{}` has \"{}\"; did you mean \"{}\"? Valid are {}", key, name,
               NearestName(name, valid).empty() ? valid.front() : NearestName(name, valid), fmt::join(valid, ", "));
  }
}

}  // namespace

void RunConfig::ListFields(Fields& f) {
  f.Add("name", &name, "the run's folder is runs/NAME");
  f.Add("stages", &stages, "which of pretrain, sft, improve to run, in this order");
  f.Add("from", &from, "model or run folder to start from; empty: random weights");
  f.Add("seed", &seed, "of everything random").minimum = 0;
  f.Add("threads", &threads, "0: one per processor").minimum = 0;
  f.Add("arena_mib", &arena_mib, "most memory for activations, MiB; 0: three quarters of what is free").minimum = 0;
  f.Add("machine", &machine, "cpu or reference").choices = {"cpu", "reference"};
}

void TokenizerConfig::ListFields(Fields& f) {
  f.Add("vocab_size", &vocab_size, "of the tokenizer to train").minimum = 1;
  f.Add("split_digits", &split_digits, "every digit is a token of its own");
  f.Add("from", &from, "folder with a tokenizer.json to use instead");
}

void DataConfig::ListFields(Fields& f) {
  f.Add("text", &text, "files and folders of text to pretrain on");
  f.Add("percent_separated", &percent_separated, "documents end at lines of a single %, as in fortune files");
  Field& held_out = f.Add("held_out_fraction", &held_out_fraction, "share of the text that is only evaluated on");
  held_out.minimum = 0;
  held_out.maximum = 0.9;
}

void PretrainConfig::ListFields(Fields& f) {
  train.ListFields(f);
  optimizer.ListFields(f);
  f.Add("eval_tokens", &eval_tokens, "held-out tokens of each evaluation; 0: all").minimum = 0;
}

void SftConfig::ListFields(Fields& f) {
  train.ListFields(f);
  optimizer.ListFields(f);
  f.Add("task", &task, "task whose solved problems are imitated");
  f.Add("conversations", &conversations, "JSONL file of `messages` to imitate instead");
  f.Add("lowest_level", &lowest_level, "easiest problems").minimum = 1;
  f.Add("highest_level", &highest_level, "hardest problems").minimum = 1;
  Field& share =
      f.Add("hardest_share", &hardest_share, "share of problems at the highest level, beside the even spread");
  share.minimum = 0;
  share.maximum = 1;
}

void ImproveConfig::ListFields(Fields& f) {
  f.Add("task", &task, "task whose checker rewards");
  rl.ListFields(f);
  Fields shared;
  train.ListFields(shared);
  for (const Field& field : shared.list()) {
    if (field.name == "steps" || field.name == "batch_tokens" || field.name == "context" ||
        field.name == "document_mask" || field.name == "mtp_weight") {
      continue;  // of supervised stages only
    }
    f.Append(field);
  }
  optimizer.ListFields(f);
}

void LoraConfig::ListFields(Fields& f) {
  adapter.ListFields(f);
  f.Add("from", &from, "adapter to go on from, PEFT's folder or a run; its rank and targets are kept");
  f.Add("optimizer", &optimizer, "adamw or muon, of the adapter").choices = {"adamw", "muon"};
}

void EvalConfig::ListFields(Fields& f) {
  f.Add("lowest_level", &lowest_level, "levels to evaluate, from").minimum = 1;
  f.Add("highest_level", &highest_level, "to").minimum = 1;
  f.Add("problems", &problems, "held-out problems per level").minimum = 1;
  f.Add("samples", &samples, "samples per problem, the k of pass@k").minimum = 1;
  f.Add("max_tokens", &max_tokens, "longest answer").minimum = 1;
  f.Add("temperature", &temperature, "of those samples").minimum = 0.01;
  f.Add("quick_problems", &quick_problems, "problems per level of evaluations within a stage").minimum = 1;
  f.Add("shown", &shown, "answers per level kept to be shown").minimum = 0;
}

void ControlsConfig::ListFields(Fields& f) {
  f.Add("run", &run, "random_reward, continued_sft, expert_iteration");
  f.Add("steps", &steps, "rollout rounds of each; 0: as many as improve").minimum = 0;
}

bool Recipe::HasStage(std::string_view stage) const {
  return std::find(run.stages.begin(), run.stages.end(), stage) != run.stages.end();
}

std::string Recipe::EvaluatedTask() const {
  if (HasStage("improve")) return improve.task;
  return HasStage("sft") && sft.conversations.empty() ? sft.task : "";
}

std::vector<Section> Recipe::Sections() {
  std::vector<Section> sections;
  const auto add = [&](std::string_view name, auto& config) {
    Section& section = sections.emplace_back();
    section.name = name;
    config.ListFields(section.fields);
  };
  add("run", run);
  add("model", model);
  add("tokenizer", tokenizer);
  add("data", data);
  add("pretrain", pretrain);
  add("sft", sft);
  add("improve", improve);
  add("lora", lora);
  add("task", task);
  add("eval", eval);
  add("controls", controls);
  add("prices", prices);
  return sections;
}

void Recipe::Validate() const {
  CheckNames(run.stages, kStages, "run.stages");
  CheckNames(controls.run, kControls, "controls.run");
  if (HasStage("pretrain") && data.text.empty()) {
    ThrowUsage("recipe: pretraining needs text; give data.text = [\"FILE or FOLDER\", …]");
  }
  if (!HasStage("pretrain") && run.from.empty() && tokenizer.from.empty()) {
    ThrowUsage("recipe: without a pretrain stage, run.from must name the model to start from");
  }
  if (pretrain.train.batch_tokens % pretrain.train.context != 0) {
    ThrowUsage("recipe: pretrain.batch_tokens ({}) is not a multiple of pretrain.context ({})",
               pretrain.train.batch_tokens, pretrain.train.context);
  }
  const int64_t longest = model.position_mode == "randomised"
                              ? std::min(model.position_range, model.max_position_embeddings)
                              : model.max_position_embeddings;
  if (HasStage("pretrain") && pretrain.train.context > longest) {
    ThrowUsage("recipe: pretrain.context is {} but the model has only {} positions", pretrain.train.context, longest);
  }
  if (sft.lowest_level > sft.highest_level) ThrowUsage("recipe: sft.lowest_level is above sft.highest_level");
  if (improve.rl.start_level > improve.rl.max_level)
    ThrowUsage("recipe: improve.start_level is above improve.max_level");
  if (eval.lowest_level > eval.highest_level) ThrowUsage("recipe: eval.lowest_level is above eval.highest_level");
}

Recipe ReadRecipe(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  Recipe recipe;
  const auto read = [&] {
    std::vector<Section> sections = recipe.Sections();
    ReadToml(path, sections);
    for (const std::string& assignment : overrides) ApplyOverride(assignment, sections);
  };
  read();
  if (const std::string type = recipe.model.model_type; type != ModelConfig().model_type) {
    // What the recipe leaves out is the family's, which is known only now.
    recipe.model = RecipeDefaults(type);
    read();
  }
  recipe.Validate();
  return recipe;
}

}  // namespace sputnik
