#include "app/eval.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "app/local_machine.h"
#include "app/model_folder.h"
#include "app/output.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/request.h"
#include "eval/answers.h"
#include "eval/bits.h"
#include "task/registry.h"
#include "train/state.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLevelsByDefault = 8;
constexpr int64_t kContextByDefault = 1024;

// A folder for the text as token ids, gone when this is.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "sputnik_eval_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ThrowFailure("cannot make a folder {}; is TMPDIR writable?", name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct TaskFlags {
  std::string name, levels, split = "held_out";
  std::vector<std::string> assignments;
  AnswerEvalOptions options;
  int64_t seed = 1;

  void Declare(CommandLine& line) {
    std::string names;
    for (const std::string& known : TaskNames()) names += (names.empty() ? "" : ", ") + known;
    line.Flag("--task NAME", &name, "problems whose answers are checked: " + names);
    line.Flag("--levels,--level LOW-HIGH", &levels, "difficulty of the problems, as 1-8 or 3 (default: the first 8)");
    line.Flag("--split NAME", &split, "held_out problems, which training never sees, or those of train").choices = {
        "held_out", "train"};
    line.Flag("--problems N", &options.problems, "of each level").minimum = 1;
    Field& samples = line.Flag("--samples N", &options.samples, "answers to each problem; above 1 pass@N is told, too");
    samples.minimum = 1;
    samples.maximum = static_cast<double>(kMostSamples);
    line.Flag("--max-tokens,-n N", &options.max_tokens, "most tokens of an answer").minimum = 1;
    line.Flag("--temperature,--temp X", &options.temperature, "0: always the likeliest token; 1 with several samples")
        .minimum = 0;
    line.Flag("--seed N", &seed, "of the problems and the answers").minimum = 0;
    line.Flag("--set KEY=VALUE", &assignments, "a setting of the task, as in a recipe; may be given many times");
  }

  std::unique_ptr<Task> Make() const {
    TaskOptions task_options;
    std::vector<Section> sections(1);
    sections[0].name = "task";
    task_options.ListFields(sections[0].fields);
    for (const std::string& assignment : assignments) {
      const bool has_section = assignment.substr(0, assignment.find('=')).find('.') != std::string::npos;
      ApplyOverride(has_section ? assignment : "task." + assignment, sections);
    }
    return MakeTask(name, task_options);
  }

  // What the flags say about each other, and the levels.
  LevelRange Resolve(const CommandLine& line, const Task& task) {
    if (!line.Given("--temperature") && options.samples > 1) options.temperature = 1;
    if (options.samples > 1 && options.temperature == 0) {
      ThrowUsage("sputnik eval: at temperature 0 all samples are the same; leave out --samples or --temperature");
    }
    options.split = split == "train" ? Split::kTrain : Split::kHeldOut;
    options.seed = static_cast<uint64_t>(seed);
    LevelRange range = task.levels();
    range.highest = std::min(range.highest, range.lowest + kLevelsByDefault - 1);
    if (line.Given("--levels")) range = ParseRange();
    CheckLevel(task, range.lowest);
    CheckLevel(task, range.highest);
    return range;
  }

  LevelRange ParseRange() const {
    LevelRange range{0, 0};
    const char *begin = levels.data(), *end = begin + levels.size();
    const auto low = std::from_chars(begin, end, range.lowest);
    if (low.ec == std::errc() && low.ptr == end) return {range.lowest, range.lowest};
    if (low.ec == std::errc() && *low.ptr == '-') {
      const auto high = std::from_chars(low.ptr + 1, end, range.highest);
      if (high.ec == std::errc() && high.ptr == end && range.lowest <= range.highest) return range;
    }
    ThrowUsage("sputnik eval: --levels must be LOW-HIGH, as 1-8, not \"{}\"", levels);
  }
};

struct TextFlags {
  std::vector<std::string> files;
  BitsOptions options{.context = 0};
  bool percent_separated = false;

  void Declare(CommandLine& line) {
    line.Flag("--text FILE", &files, "a text file, a .jsonl file or a folder of them; may be given many times");
    line.Flag("--context N", &options.context, "tokens of text the model sees at once; 0: 1024, or its longest")
        .minimum = 0;
    line.Flag("--stride N", &options.stride,
              "predict only the last N of each window, so that all have that much before them; 0: windows side by side")
        .minimum = 0;
    line.Flag("--percent-separated", &percent_separated, "lines of a single % part documents, as in fortune files");
  }

  void Resolve(const ModelConfig& config) {
    const int64_t longest = LongestSequence(config);
    if (options.context == 0) options.context = std::min(kContextByDefault, longest);
    if (options.context < 2 || options.context > longest) {
      ThrowUsage("sputnik eval: --context is {}, expected 2 to {}, the model's longest", options.context, longest);
    }
  }
};

void EvaluateLevels(const ModelFolder& model, const Machine& machine, const Task& task, const LevelRange& levels,
                    AnswerEvalOptions options, bool json) {
  const bool several = options.samples > 1;
  const std::string pass_k = fmt::format("pass@{}", options.samples);
  const fs::path state = model.path / "trainer" / "state.json";
  const std::string stage = fs::exists(state) ? ReadRunState(model.path).stage : "";
  if (!json) {
    Print(fmt::format("{:<16} {:<9} {:>5} {:>8} {:>8}  {:<16}{} {:>8}\n", "task", "split", "level", "problems",
                      "pass@1", "95% interval", several ? fmt::format(" {:>8}", pass_k) : "", "tokens"));
  }
  for (options.level = levels.lowest; options.level <= levels.highest; ++options.level) {
    const AnswerEvalResult result = EvaluateTask(*model.decoder, machine, *model.tokenizer, task, options);
    if (const std::string few = TooFewProblems(result, options.problems); !few.empty()) LogWarning("{}", few);
    if (json) {
      Print(ResultJson(result, stage) + "\n");
    } else {
      Print(fmt::format("{:<16} {:<9} {:>5} {:>8} {:>8.3f}  [{:.3f}, {:.3f}]  {} {:>8.1f}\n", result.task,
                        options.split == Split::kTrain ? "train" : "held_out", options.level, result.options.problems,
                        result.pass_at_1, result.ci95_low, result.ci95_high,
                        several ? fmt::format(" {:>8.3f}", result.pass_at_k) : "", result.mean_tokens));
    }
    FlushOutput();
  }
}

void EvaluateText(const ModelFolder& model, const Machine& machine, const TextFlags& flags, bool json) {
  const ScratchFolder scratch;
  const Tokenizer& tokenizer = *model.tokenizer;
  const fs::path path = scratch.path() / "text.shard";
  PrepareShards({flags.files.begin(), flags.files.end()}, tokenizer, path,
                {.source = {.percent_separated = flags.percent_separated}});
  const Shard shard = Shard::Open(path, tokenizer.hash());
  const BitsResult result = EvaluateShard(*model.decoder, machine, shard, flags.options);
  if (!std::isfinite(result.nats)) {
    throw Error(ExitCode::kNumeric, "the model's output is not finite; its weights are broken");
  }
  const double per_token = result.NatsPerToken(), per_byte = result.BitsPerByte(shard),
               per_character = result.NatsPerCharacter(shard);
  if (json) {
    OrderedJson object = {{"text", flags.files},
                          {"documents", shard.documents()},
                          {"bytes", shard.text_bytes()},
                          {"characters", shard.text_characters()},
                          {"tokens", shard.tokens()},
                          {"context", flags.options.context},
                          {"stride", flags.options.stride},
                          {"nats_per_token", per_token},
                          {"perplexity", std::exp(result.NatsPerToken())},
                          {"bits_per_byte", per_byte},
                          {"nats_per_character", per_character}};
    for (const auto& [name, figure] :
         {std::pair("nats_per_token_ci95", per_token), std::pair("bits_per_byte_ci95", per_byte),
          std::pair("nats_per_character_ci95", per_character)}) {
      if (const auto interval = result.IntervalOf(figure)) object[name] = {interval->low, interval->high};
    }
    if (result.ci95) object["ci95_over"] = result.by_document ? "documents" : "stretches of context tokens";
    Print(object.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
    return;
  }
  const auto row = [](std::string_view name, const std::string& value) {
    Print(fmt::format("{:<20} {:>14}\n", name, value));
  };
  row("documents", std::to_string(shard.documents()));
  row("bytes", std::to_string(shard.text_bytes()));
  row("characters", std::to_string(shard.text_characters()));
  row("tokens", std::to_string(shard.tokens()));
  const auto measured = [&](std::string_view name, double figure) {
    const std::optional<Interval> interval = result.IntervalOf(figure);
    Print(fmt::format("{:<20} {:>14.4f}{}\n", name, figure,
                      interval ? fmt::format("  [{:.4f}, {:.4f}]", interval->low, interval->high) : ""));
  };
  measured("nats per token", per_token);
  row("perplexity", fmt::format("{:.3f}", std::exp(per_token)));
  measured("bits per byte", per_byte);
  measured("nats per character", per_character);
  if (result.ci95) {
    Print(fmt::format("95% intervals in brackets, over {}\n",
                      result.by_document ? "documents" : fmt::format("stretches of {} tokens", flags.options.context)));
  }
}

}  // namespace

ExitCode RunEval(CommandLine& line) {
  std::string folder, adapter;
  TaskFlags task_flags;
  TextFlags text_flags;
  bool json = false;
  line.ModelFlag(&folder);
  line.AdapterFlag(&adapter);
  task_flags.Declare(line);
  text_flags.Declare(line);
  line.Flag("--json", &json, "one JSON object per level, as in summary.json, and one for the text");
  line.Require("--model");
  line.Example("sputnik eval --model runs/demo --task addition --levels 1-8 --problems 200");
  line.Example("sputnik eval --model runs/demo --task countdown --set numbers=3 --samples 16 --max-tokens 200 --json");
  line.Example("sputnik eval --model runs/demo --text book.txt");
  line.Note(
      "Of a task: pass@1, the share of right answers, with its 95% interval over problems; with --samples N also "
      "pass@N, the share of problems with a right one among N. Of a text: how well it is predicted, per token of this "
      "tokenizer and per byte and character, which compare across tokenizers, with 95% intervals over documents, or "
      "over "
      "stretches of the context's length where there are fewer than 30 documents.");
  if (!line.Parse()) return ExitCode::kOk;
  const bool of_task = !task_flags.name.empty(), of_text = !text_flags.files.empty();
  if (!of_task && !of_text) ThrowUsage("sputnik eval: give --task NAME, --text FILE, or both");
  for (const char* flag :
       {"--levels", "--split", "--problems", "--samples", "--max-tokens", "--temperature", "--seed", "--set"}) {
    if (!of_task && line.Given(flag)) ThrowUsage("sputnik eval: {} is for a task; give --task NAME, too", flag);
  }
  for (const char* flag : {"--context", "--stride", "--percent-separated"}) {
    if (!of_text && line.Given(flag)) ThrowUsage("sputnik eval: {} is for a text; give --text FILE, too", flag);
  }
  std::unique_ptr<Task> task;
  LevelRange levels{0, 0};
  if (of_task) {
    task = task_flags.Make();
    levels = task_flags.Resolve(line, *task);
  }

  const ModelFolder model = OpenModelFolder(folder, {.adapter = adapter});
  model.NeedTokenizer("sputnik eval");
  LocalMachine machine(line.global());
  if (of_text) text_flags.Resolve(model.decoder->config());
  if (of_task) EvaluateLevels(model, machine.machine(), *task, levels, task_flags.options, json);
  if (of_task && of_text && !json) Print("\n");
  if (of_text) EvaluateText(model, machine.machine(), text_flags, json);
  return ExitCode::kOk;
}

}  // namespace sputnik
