#include "app/pipeline.h"

#include <algorithm>

#include "app/adapter_start.h"
#include "app/report.h"
#include "app/sft_samples.h"
#include "app/windows.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stop_signal.h"
#include "data/loader.h"
#include "eval/bits.h"
#include "kernel/backend.h"
#include "kernel/peak.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "rl/loop.h"
#include "text/bpe_train.h"
#include "train/memory.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kStageOrder = {"pretrain", "sft", "improve"};

int64_t StageIndex(const std::string& name) {
  return std::find(kStageOrder.begin(), kStageOrder.end(), name) - kStageOrder.begin();
}

std::vector<fs::path> Paths(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

SplitOptions HowToSplit(const DataConfig& data) {
  return {.source = {.percent_separated = data.percent_separated}, .held_out_fraction = data.held_out_fraction};
}

// What would only come out hours into the run: tasks that don't exist, levels that they don't have, files that are
// missing.
Recipe Checked(Recipe recipe) {
  const auto check_levels = [&](const std::string& name, int64_t lowest, int64_t highest) {
    const std::unique_ptr<Task> task = MakeTask(name, recipe.task);
    CheckLevel(*task, lowest);
    CheckLevel(*task, highest);
  };
  for (const std::string& stage : recipe.run.stages) {
    if (stage == "sft" && recipe.sft.conversations.empty()) {
      check_levels(recipe.sft.task, recipe.sft.lowest_level, recipe.sft.highest_level);
    } else if (stage == "sft" && !fs::exists(recipe.sft.conversations)) {
      ThrowBadInput("{}: no such file (sft.conversations)", recipe.sft.conversations);
    } else if (stage == "improve") {
      check_levels(recipe.improve.task, recipe.improve.rl.start_level, recipe.improve.rl.max_level);
      check_levels(recipe.improve.task, recipe.improve.rl.replay_from, recipe.improve.rl.replay_from);
    }
  }
  if (const std::string task = recipe.EvaluatedTask(); !task.empty()) {
    check_levels(task, recipe.eval.lowest_level, recipe.eval.highest_level);
  }
  if (!recipe.run.from.empty()) return recipe;
  ModelConfig config = recipe.model;
  if (config.vocab_size == 0) config.vocab_size = std::max<int64_t>(recipe.tokenizer.vocab_size, 1);
  config.Validate("recipe, section model");
  if (recipe.lora.adapter.rank > 0) FindModules(config, recipe.lora.adapter.targets);
  return recipe;
}

// The checkpoint with which `stage` ended, if the run had it.
std::optional<fs::path> StageEnd(const fs::path& run_folder, const std::string& stage) {
  if (!fs::exists(run_folder / "checkpoints")) return std::nullopt;
  for (const auto& entry : fs::directory_iterator(run_folder / "checkpoints")) {
    if (!entry.is_directory() || !fs::exists(entry.path() / "MANIFEST.json")) continue;
    const RunState state = ReadRunState(entry.path());
    if (state.stage == stage && state.stage_done) return entry.path();
  }
  return std::nullopt;
}

}  // namespace

Pipeline::Pipeline(Recipe recipe, const fs::path& folder, bool resume)
    : recipe_(Checked(std::move(recipe))),
      kernels_(&KernelsFor(recipe_.run.machine)),
      pool_(static_cast<int>(recipe_.run.threads)),
      run_(folder, resume, recipe_.prices, MeasurePeakFlops(pool_)) {
  const std::string resolved = WriteToml(recipe_.Sections());
  const fs::path saved = folder / "recipe.toml";
  if (resume && fs::exists(saved) && ReadFile(saved) != resolved) {
    LogWarning("{}: the recipe has changed since the run was started; finished stages stay as they are",
               saved.string());
  }
  WriteFileAtomically(saved, resolved);
  if (run_.checkpoint()) state_ = run_.resumed();
}

int64_t Pipeline::ArenaLimit() const {
  return recipe_.run.arena_mib > 0 ? recipe_.run.arena_mib << 20
                                   : std::max(AvailableMemory() / 4 * 3, int64_t{1} << 28);
}

void Pipeline::PrepareTokenizer() {
  const fs::path folder = run_.path() / "tokenizer";
  // Before the first checkpoint nothing depends on it, and the text may be another than that of a start that failed.
  if (!run_.checkpoint() || !fs::exists(folder / "tokenizer.json")) {
    fs::create_directories(folder);
    std::string from = recipe_.tokenizer.from;
    if (from.empty() && !recipe_.run.from.empty()) {
      const fs::path start = ResolveModelFolder(recipe_.run.from);
      from = (fs::exists(start / "tokenizer.json") ? start : WeightsFolder(start)).string();
    }
    if (!from.empty()) {
      Tokenizer::Load(from).SaveTo(folder);
    } else {
      LogInfo("training a tokenizer of {} entries", recipe_.tokenizer.vocab_size);
      BpeTrainOptions options;
      options.vocab_size = recipe_.tokenizer.vocab_size;
      options.split_digits = recipe_.tokenizer.split_digits;
      BpeTrainer trainer(options);
      // What is held out is held out from the tokenizer, too.
      ForEachPart(Paths(recipe_.data.text), HowToSplit(recipe_.data), [&](const TextPart& part) {
        if (!part.held_out) trainer.Add(part.text);
      });
      SaveTrainedTokenizer(trainer.Train(), folder, recipe_.model.max_position_embeddings);
    }
  }
  tokenizer_ = Tokenizer::Load(folder);
  run_.SetExtraFiles([this](const fs::path& checkpoint) { tokenizer_->SaveTo(checkpoint); });
}

void Pipeline::PrepareText() {
  if (train_text_ || recipe_.data.text.empty()) return;
  const fs::path folder = run_.path() / "data", train = folder / "text.shard",
                 held_out = folder / "text.held_out.shard";
  if (!run_.checkpoint() || !fs::exists(train)) {
    fs::create_directories(folder);
    fs::remove(held_out);  // as with the tokenizer: of another text, or of a recipe that held some out
    const PreparedShards made = PrepareShards(Paths(recipe_.data.text), *tokenizer_, train, HowToSplit(recipe_.data));
    LogInfo("{} tokens of text, {} held out", made.train_tokens, made.held_out_tokens);
  }
  train_text_ = Shard::Open(train, tokenizer_->hash());
  if (fs::exists(held_out)) held_out_text_ = Shard::Open(held_out, tokenizer_->hash());
}

bool Pipeline::PretrainingIsAhead() const {
  if (!recipe_.HasStage("pretrain")) return false;
  return state_.stage.empty() || (state_.stage == "pretrain" && !state_.stage_done);
}

void Pipeline::StartWeightsAt(const fs::path& folder) {
  StoredModel stored(folder);
  const TrainConfig& train = recipe_.HasStage("pretrain") ? recipe_.pretrain.train
                             : recipe_.HasStage("sft")    ? recipe_.sft.train
                                                          : recipe_.improve.train;
  CheckTrainingMemory(stored.config(), recipe_.pretrain.optimizer, train, AvailableMemory());
  decoder_ = LoadModel(std::move(stored), true);
}

void Pipeline::StartAdapterAt(const fs::path& folder) {
  const TrainConfig& train = recipe_.HasStage("sft") ? recipe_.sft.train : recipe_.improve.train;
  decoder_ = StartAdapter(recipe_.lora, folder, train, static_cast<uint64_t>(recipe_.run.seed));
}

// With an adapter the recipe's section lora says how it learns.
OptimizerConfig Pipeline::OptimizerFor(OptimizerConfig config) const {
  if (decoder_->adapter() != nullptr) config.optimizer = recipe_.lora.optimizer;
  return config;
}

void Pipeline::MakeModel() {
  if (run_.checkpoint() || !recipe_.run.from.empty()) {
    const fs::path folder = run_.checkpoint() ? *run_.checkpoint() : ResolveModelFolder(recipe_.run.from);
    if (IsAdapterFolder(folder) && !run_.checkpoint() && !recipe_.lora.from.empty()) {
      ThrowUsage("{}: is an adapter already; {} cannot be added to it", folder.string(), recipe_.lora.from);
    }
    if (IsAdapterFolder(folder) || (recipe_.lora.on() && !PretrainingIsAhead())) {
      StartAdapterAt(folder);
    } else {
      StartWeightsAt(folder);
    }
    LogInfo("going on from {}", folder.string());
  } else {
    ModelConfig config = recipe_.model;
    if (config.vocab_size == 0) config.vocab_size = tokenizer_->vocab_size();
    config.bos_token_id = tokenizer_->bos_id();
    config.eos_token_id = tokenizer_->eos_id();
    config.pad_token_id = tokenizer_->pad_id();
    config.Validate("recipe, section model");
    CheckTrainingMemory(config, recipe_.pretrain.optimizer, recipe_.pretrain.train, AvailableMemory());
    decoder_ = std::make_unique<Decoder>(config, DType::kF32, true);
    decoder_->params().Initialise(config, static_cast<uint64_t>(recipe_.run.seed));
  }
  if (tokenizer_->vocab_size() > decoder_->config().vocab_size) {
    ThrowBadInput("the tokenizer has {} entries but the model only {}; they do not belong together",
                  tokenizer_->vocab_size(), decoder_->config().vocab_size);
  }
  const ParamCounts counts = CountParams(decoder_->config());
  LogInfo("{:.2f} M parameters, {:.2f} M active per token, {} threads, SIMD {}",
          static_cast<double>(counts.total) / 1e6, static_cast<double>(counts.active) / 1e6, pool_.size(),
          SimdTarget());
}

StageResult Pipeline::Pretrain(RunFolder& run, const RunState& start) {
  const PretrainConfig& config = recipe_.pretrain;
  PrepareText();
  if (!train_text_) ThrowUsage("recipe: pretraining needs text; give data.text");
  Trainer trainer(*decoder_, machine(), config.optimizer, ArenaLimit());
  if (start.stage_step > 0) trainer.optimizer().Load(*run.checkpoint() / "trainer" / "optimizer.safetensors");
  const auto seed = static_cast<uint64_t>(recipe_.run.seed);
  const PretrainLoader loader(*train_text_, {.context = config.train.context,
                                             .batch_tokens = config.train.batch_tokens,
                                             .seed = seed,
                                             .document_mask = config.train.document_mask,
                                             .shift = true});
  StageInputs inputs{.name = "pretrain",
                     .first_global_step = start.global_step - start.stage_step,
                     .train = config.train,
                     .optimizer = config.optimizer,
                     .batches = {},
                     .evaluate = {}};
  inputs.batches = [&](int64_t step) {
    Batch batch = loader.Get(step);
    if (decoder_->config().position_mode == "randomised") RandomiseWindows(batch, decoder_->config(), seed, step);
    return SplitWindows(batch, config.train.micro_batch_tokens);
  };
  inputs.evaluate = [&](int64_t, MetricsLine& line) {
    if (!held_out_text_) return;
    const BitsResult bits = EvaluateShard(*decoder_, machine(), *held_out_text_,
                                          {.context = config.train.context,
                                           .document_mask = config.train.document_mask,
                                           .max_tokens = config.eval_tokens});
    run.ledger().stage(kEvaluationPart).flops +=
        static_cast<double>(bits.tokens) *
        ForwardFlopsPerToken(decoder_->config(), 0.5 * static_cast<double>(config.train.context), false);
    line.Set("val_loss", bits.NatsPerToken());
    line.SetQuality(-bits.NatsPerToken());
    line.Set("val_bpb", bits.BitsPerByte(*held_out_text_));
    line.Set("val_nats_per_character", bits.NatsPerCharacter(*held_out_text_));
    for (const auto& [name, figure] :
         {std::pair("val_loss", bits.NatsPerToken()), std::pair("val_bpb", bits.BitsPerByte(*held_out_text_)),
          std::pair("val_nats_per_character", bits.NatsPerCharacter(*held_out_text_))}) {
      const std::optional<Interval> interval = bits.IntervalOf(figure);
      if (!interval) continue;
      line.Set(fmt::format("{}_ci95_low", name), interval->low);
      line.Set(fmt::format("{}_ci95_high", name), interval->high);
    }
  };
  return RunStage(trainer, run, inputs, start);
}

void Pipeline::CountAnswers(const AnswerEvalResult& result, RunFolder& run) const {
  StageCost& cost = run.ledger().stage(kEvaluationPart);
  const double context = static_cast<double>(result.prompt_tokens) / static_cast<double>(result.options.problems);
  cost.generated_tokens += result.generated_tokens;
  cost.flops += static_cast<double>(result.prompt_tokens + result.generated_tokens) *
                ForwardFlopsPerToken(decoder_->config(), context, false);
}

void Pipeline::QuickAccuracy(const Task& task, RunFolder& run, MetricsLine& line) const {
  double sum = 0, levels = 0;
  for (int64_t level = recipe_.eval.lowest_level; level <= recipe_.eval.highest_level; ++level) {
    const AnswerEvalResult result = EvaluateTask(*decoder_, machine(), *tokenizer_, task,
                                                 {.level = level,
                                                  .problems = recipe_.eval.quick_problems,
                                                  .max_tokens = recipe_.eval.max_tokens,
                                                  .seed = static_cast<uint64_t>(recipe_.run.seed) + 1000});
    CountAnswers(result, run);
    line.Set(fmt::format("eval/accuracy/{}", level), result.pass_at_1);
    sum += result.pass_at_1;
    ++levels;
  }
  line.SetQuality(sum / levels);
}

StageResult Pipeline::Sft(RunFolder& run, const std::string& name, const SftConfig& config, const RunState& start) {
  const OptimizerConfig optimizer = OptimizerFor(config.optimizer);
  Trainer trainer(*decoder_, machine(), optimizer, ArenaLimit());
  if (start.stage_step > 0) trainer.optimizer().Load(*run.checkpoint() / "trainer" / "optimizer.safetensors");
  const auto seed = static_cast<uint64_t>(recipe_.run.seed);
  StageInputs inputs{.name = name,
                     .first_global_step = start.global_step - start.stage_step,
                     .train = config.train,
                     .optimizer = optimizer,
                     .batches = {},
                     .evaluate = {}};
  std::unique_ptr<Task> task;
  if (!config.conversations.empty()) {
    inputs.batches = ConversationBatches(config, decoder_->config(), *tokenizer_, seed);
  } else {
    inputs.batches = ProblemBatches(config, decoder_->config(), *tokenizer_, recipe_.task, seed);
    task = MakeTask(config.task, recipe_.task);
    inputs.evaluate = [&](int64_t, MetricsLine& line) { QuickAccuracy(*task, run, line); };
  }
  return RunStage(trainer, run, inputs, start);
}

fs::path Pipeline::ImproveStart() const {
  for (const char* stage : {"sft", "pretrain"}) {
    if (const auto end = StageEnd(run_.path(), stage)) return *end;
  }
  if (recipe_.run.from.empty()) ThrowFailure("{}: the checkpoint before `improve` is gone", run_.path().string());
  return ResolveModelFolder(recipe_.run.from);
}

StageResult Pipeline::Improve(RunFolder& run, const std::string& name, const ImproveConfig& config,
                              const RunState& start) {
  const OptimizerConfig optimizer = OptimizerFor(config.optimizer);
  Trainer trainer(*decoder_, machine(), optimizer, ArenaLimit());
  if (start.stage_step > 0) trainer.optimizer().Load(*run.checkpoint() / "trainer" / "optimizer.safetensors");
  const std::unique_ptr<Task> task = MakeTask(config.task, recipe_.task);
  std::unique_ptr<Decoder> reference;
  if (config.rl.kl_weight > 0) reference = LoadForward(ImproveStart());
  const ImproveInputs inputs{.name = name,
                             .first_global_step = start.global_step - start.stage_step,
                             .seed = static_cast<uint64_t>(recipe_.run.seed),
                             .rl = config.rl,
                             .train = config.train,
                             .optimizer = optimizer,
                             .tokenizer = *tokenizer_,
                             .task = *task,
                             .reference = reference.get(),
                             .evaluate = [&](int64_t, MetricsLine& line) { QuickAccuracy(*task, run, line); }};
  return RunImprove(trainer, run, inputs, start);
}

bool Pipeline::RunStageNamed(const std::string& name) {
  const bool same = state_.stage == name;
  if (!state_.stage.empty() && (StageIndex(state_.stage) > StageIndex(name) || (same && state_.stage_done)))
    return true;
  RunState start = state_;
  if (!same) {
    start = {};
    start.global_step = state_.global_step;
  }
  start.stage_done = false;
  if (name != "pretrain" && recipe_.lora.on() && decoder_->adapter() == nullptr) {
    decoder_.reset();  // its weights, gradients and all, are on the disk
    StartAdapterAt(*run_.checkpoint());
  }
  StageResult result;
  if (name == "pretrain") result = Pretrain(run_, start);
  if (name == "sft") result = Sft(run_, name, recipe_.sft, start);
  if (name == "improve") result = Improve(run_, name, recipe_.improve, start);
  state_ = result.state;
  return !result.stopped;
}

void Pipeline::EvaluateStage(const std::string& name, RunFolder& run) {
  const fs::path folder = run_.path() / "results", results = folder / (name + ".jsonl");
  if (fs::exists(results) || recipe_.EvaluatedTask().empty()) return;
  run.ledger().Book(kOtherPart);
  fs::create_directories(folder);
  const std::unique_ptr<Task> task = MakeTask(recipe_.EvaluatedTask(), recipe_.task);
  std::string lines, samples;
  for (int64_t level = recipe_.eval.lowest_level; level <= recipe_.eval.highest_level; ++level) {
    const AnswerEvalResult result = EvaluateTask(*decoder_, machine(), *tokenizer_, *task,
                                                 {.level = level,
                                                  .problems = recipe_.eval.problems,
                                                  .samples = recipe_.eval.samples,
                                                  .max_tokens = recipe_.eval.max_tokens,
                                                  .temperature = recipe_.eval.temperature,
                                                  .seed = static_cast<uint64_t>(recipe_.run.seed) + 2000,
                                                  .keep = recipe_.eval.shown});
    CountAnswers(result, run);
    lines += ResultJson(result, name) + "\n";
    LogInfo("{}: level {}: pass@1 {:.3f} [{:.3f}, {:.3f}], pass@{} {:.3f}", name, level, result.pass_at_1,
            result.ci95_low, result.ci95_high, result.options.samples, result.pass_at_k);
    if (const std::string few = TooFewProblems(result, recipe_.eval.problems); !few.empty()) LogInfo("{}", few);
    for (const AnsweredProblem& answered : result.kept) {
      OrderedJson json = {{"stage", name},
                          {"task", result.task},
                          {"level", level},
                          {"prompt", answered.problem.prompt},
                          {"answer", answered.problem.answer},
                          {"completion", answered.completion},
                          {"correct", answered.score.correct}};
      samples += json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
    }
  }
  WriteFileAtomically(folder / (name + ".samples.jsonl"), samples);
  WriteFileAtomically(results, lines);
  run.ledger().Book(kEvaluationPart);
  run.SaveLedger();
}

bool Pipeline::RunControl(const std::string& name) {
  const std::string stage = name == "random_reward" ? "control_random" : "control_" + name;
  if (fs::exists(run_.path() / "results" / (stage + ".jsonl"))) return true;
  run_.ledger().Book(kOtherPart);  // from here on the time is the control's
  const fs::path folder = run_.path() / "controls" / name;
  RunFolder run(folder, true, recipe_.prices, run_.ledger().peak_flops());
  run.SetExtraFiles([this](const fs::path& checkpoint) { tokenizer_->SaveTo(checkpoint); });
  RunState start;
  if (run.checkpoint()) start = run.resumed();
  const fs::path from = run.checkpoint() ? *run.checkpoint() : ImproveStart();
  if (decoder_->adapter() != nullptr) {
    StartAdapterAt(from);
  } else {
    LoadWeights(from, *decoder_);
  }
  LogInfo("control: {}", name);
  StageResult result{.state = start};
  ImproveConfig improve = recipe_.improve;
  if (recipe_.controls.steps > 0) improve.rl.steps = recipe_.controls.steps;
  if (start.stage_done) {
    // Only the evaluation is missing.
  } else if (name == "continued_sft") {
    SftConfig sft = recipe_.sft;
    sft.train.steps = improve.rl.steps;
    sft.optimizer = improve.optimizer;  // fine-tuning's own peak rate would first undo what it had settled
    result = Sft(run, stage, sft, start);
  } else {
    if (name == "random_reward") improve.rl.reward = "random";
    if (name == "expert_iteration") improve.rl.advantage = "none";
    result = Improve(run, stage, improve, start);
  }
  if (result.stopped) return false;
  EvaluateStage(stage, run);
  run_.ledger().Skip();
  return true;
}

bool Pipeline::Run() {
  PrepareTokenizer();
  MakeModel();
  for (const std::string& stage : recipe_.run.stages) {
    if (!RunStageNamed(stage)) return false;
    if (stage != "pretrain") EvaluateStage(stage, run_);
  }
  for (const std::string& control : recipe_.controls.run) {
    if (!recipe_.HasStage("improve")) break;  // nothing to be compared with
    if (!RunControl(control)) return false;
  }
  run_.ledger().Book(kOtherPart);
  run_.SaveLedger();
  WriteReport(run_.path());
  return true;
}

}  // namespace sputnik
