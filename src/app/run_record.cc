#include "app/run_record.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/adapter_file.h"
#include "model/config.h"
#include "model/param.h"
#include "train/ledger.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::string ReadIfThere(const fs::path& path) {
  try {
    return fs::is_regular_file(path) ? ReadFile(path) : std::string();
  } catch (const std::exception&) {
    return {};  // a report with a part less is better than none
  }
}

std::optional<Json> ObjectFrom(const std::string& text) {
  try {
    Json json = ParseJson(text, "run folder");
    if (json.is_object()) return json;
  } catch (const Error&) {
  }
  return std::nullopt;
}

// Calls fn for every line that holds an object; what fn throws over a wrong type costs only that line.
void ForEachWholeLine(const fs::path& path, const std::function<void(const Json&)>& fn) {
  const std::string text = ReadIfThere(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::optional<Json> json = ObjectFrom(text.substr(begin, end - begin));
    begin = end + 1;
    if (!json) continue;
    try {
      fn(*json);
    } catch (const Json::exception&) {
    }
  }
}

double Number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

int64_t Whole(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::vector<StageRecord> ReadStages(const fs::path& metrics) {
  std::vector<StageRecord> stages;
  ForEachWholeLine(metrics, [&](const Json& line) {
    const std::string name = line.at("stage").get<std::string>();
    const auto step = line.at("step").get<double>();
    auto stage = std::find_if(stages.begin(), stages.end(), [&](const StageRecord& s) { return s.name == name; });
    if (stage == stages.end()) {
      stages.emplace_back().name = name;
      stage = stages.end() - 1;
    }
    stage->steps = std::max(stage->steps, static_cast<int64_t>(step));
    for (const auto& [key, value] : line.items()) {
      if (key == "step") continue;
      if (value.is_number()) stage->curves[key].push_back({step, value.get<double>()});
      if (key != "expert_loads" || !value.is_array() || value.empty()) continue;
      const bool numbers = std::all_of(value.begin(), value.end(), [](const Json& load) { return load.is_number(); });
      if (!numbers) continue;
      stage->loads.push_back(value.get<std::vector<double>>());
      stage->load_steps.push_back(step);
    }
  });
  return stages;
}

std::vector<CostRecord> ReadCosts(const fs::path& ledger, double* peak_flops) {
  std::vector<CostRecord> costs;
  const std::optional<Json> json = ObjectFrom(ReadIfThere(ledger));
  if (!json) return costs;
  *peak_flops = std::max(*peak_flops, Number(*json, "peak_flops"));
  const auto stages = json->find("stages");
  if (stages == json->end() || !stages->is_object()) return costs;
  for (const auto& [name, cost] : stages->items()) {
    if (!cost.is_object()) continue;
    CostRecord& record = costs.emplace_back();
    record.stage = name;
    record.trained_tokens = Whole(cost, "trained_tokens");
    record.generated_tokens = Whole(cost, "generated_tokens");
    record.flops = Number(cost, "flops");
    record.wall_seconds = Number(cost, "wall_seconds");
    record.core_seconds = Number(cost, "core_seconds");
    record.energy_kwh = Number(cost, "energy_kwh");
    record.energy_cost = Number(cost, "energy_cost");
    record.core_cost = Number(cost, "core_cost");
    const auto currency = cost.find("currency");
    if (currency != cost.end() && currency->is_string()) record.currency = currency->get<std::string>();
  }
  return costs;
}

// The order in which stages run; others after them, by name.
int StageRank(const std::string& stage) {
  static const std::vector<std::string> kOrder = {"pretrain", "sft", "improve"};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), stage) - kOrder.begin());
}

bool StageBefore(const std::string& a, const std::string& b) {
  return StageRank(a) != StageRank(b) ? StageRank(a) < StageRank(b) : a < b;
}

CourseRecord ReadCourse(const fs::path& folder, double* peak_flops) {
  CourseRecord course;
  // "runs/demo/" has no file name of its own
  course.name = folder.has_filename() ? folder.filename().string() : folder.parent_path().filename().string();
  course.stages = ReadStages(folder / "metrics.jsonl");
  course.costs = ReadCosts(folder / "ledger.json", peak_flops);
  std::stable_sort(course.costs.begin(), course.costs.end(),
                   [](const CostRecord& a, const CostRecord& b) { return StageBefore(a.stage, b.stage); });
  return course;
}

std::vector<fs::path> SortedEntries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void ReadResults(const fs::path& path, std::vector<ResultRecord>& results) {
  ForEachWholeLine(path, [&](const Json& line) {
    ResultRecord record;
    record.task = line.at("task").get<std::string>();
    record.split = line.at("split").get<std::string>();
    record.stage = line.at("stage").get<std::string>();
    record.level = line.at("level").get<int64_t>();
    record.pass_at_1 = line.at("pass_at_1").get<double>();
    record.pass_at_k = line.at("pass_at_k").get<double>();
    record.k = line.at("k").get<int64_t>();
    record.n = line.at("n").get<int64_t>();
    record.low = line.at("ci95").at(0).get<double>();
    record.high = line.at("ci95").at(1).get<double>();
    record.temperature = Number(line, "temperature");
    record.mean_tokens = Number(line, "mean_tokens");
    record.seed = line.at("seed").get<uint64_t>();
    results.push_back(std::move(record));
  });
}

void ReadSamples(const fs::path& path, std::vector<SampleRecord>& samples) {
  ForEachWholeLine(path, [&](const Json& line) {
    SampleRecord record;
    record.stage = line.at("stage").get<std::string>();
    record.task = line.at("task").get<std::string>();
    record.level = line.at("level").get<int64_t>();
    record.prompt = line.at("prompt").get<std::string>();
    record.answer = line.at("answer").get<std::string>();
    record.completion = line.at("completion").get<std::string>();
    record.correct = line.at("correct").get<bool>();
    samples.push_back(std::move(record));
  });
}

// Every checkpoint of a run has the same shape; the first that can be read will do.
std::optional<ShapeRecord> ReadShape(const fs::path& checkpoints) {
  for (const fs::path& checkpoint : SortedEntries(checkpoints)) {
    try {
      const fs::path folder = WeightsFolder(checkpoint);
      if (!fs::exists(folder / "config.json")) continue;
      const ModelConfig config = ReadModelConfig(folder / "config.json");
      const ParamCounts counts = CountParams(config);
      ShapeRecord shape{.parameters = counts.total,
                        .active_parameters = counts.active,
                        .layers = config.num_hidden_layers,
                        .experts = config.n_routed_experts,
                        .experts_per_token = config.num_experts_per_tok,
                        .expert_layers = {},
                        .mtp_layers = config.num_nextn_predict_layers};
      for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
        if (config.HasMoe(layer)) shape.expert_layers.push_back(layer);
      }
      return shape;
    } catch (const Error&) {
    }
  }
  return std::nullopt;
}

}  // namespace

std::string StageTitle(const std::string& stage) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kTitles = {
      {{"pretrain", "Pretraining"},
       {"sft", "Fine-tuning"},
       {"improve", "Improvement"},
       {"control_random", "Control: random reward"},
       {"control_continued_sft", "Control: continued fine-tuning"},
       {"control_expert_iteration", "Control: expert iteration"},
       {kEvaluationPart, "Evaluation"},
       {kOtherPart, "Tokenizer, data, checkpoints"}}};
  for (const auto& [name, title] : kTitles) {
    if (stage == name) return std::string(title);
  }
  return stage;
}

const Curve* StageRecord::Find(const std::string& metric) const {
  const auto found = curves.find(metric);
  return found == curves.end() ? nullptr : &found->second;
}

std::map<int64_t, const Curve*> StageRecord::ByLevel(const std::string& prefix) const {
  std::map<int64_t, const Curve*> levels;
  for (const auto& [metric, curve] : curves) {
    if (!metric.starts_with(prefix + "/")) continue;
    const char *begin = metric.data() + prefix.size() + 1, *end = metric.data() + metric.size();
    int64_t level = 0;
    const auto [stop, error] = std::from_chars(begin, end, level);
    if (error == std::errc() && stop == end) levels[level] = &curve;
  }
  return levels;
}

const StageRecord* CourseRecord::FindStage(const std::string& stage) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const StageRecord& s) { return s.name == stage; });
  return found == stages.end() ? nullptr : &*found;
}

std::optional<double> RunRecord::LargestGap() const {
  std::optional<double> largest;
  const auto look = [&](const CourseRecord& course) {
    for (const StageRecord& stage : course.stages) {
      const Curve* gap = stage.Find("train_rollout_logprob_abs_diff");
      if (gap == nullptr) continue;
      for (const Point& point : *gap) largest = std::max(largest.value_or(0), std::abs(point.y));
    }
  };
  look(run);
  for (const CourseRecord& control : controls) look(control);
  return largest;
}

RunRecord ReadRunRecord(const fs::path& run_folder) {
  RunRecord record;
  record.run = ReadCourse(run_folder, &record.peak_flops);
  for (const fs::path& folder : SortedEntries(run_folder / "controls")) {
    if (fs::is_directory(folder)) record.controls.push_back(ReadCourse(folder, &record.peak_flops));
  }
  for (const fs::path& file : SortedEntries(run_folder / "results")) {
    if (file.string().ends_with(".samples.jsonl")) {
      ReadSamples(file, record.samples);
    } else if (file.extension() == ".jsonl") {
      ReadResults(file, record.results);
    }
  }
  std::stable_sort(record.results.begin(), record.results.end(), [](const ResultRecord& a, const ResultRecord& b) {
    return a.stage != b.stage ? StageBefore(a.stage, b.stage) : a.level < b.level;
  });
  record.shape = ReadShape(run_folder / "checkpoints");
  record.recipe = ReadIfThere(run_folder / "recipe.toml");
  if (const std::optional<Json> summary = ObjectFrom(ReadIfThere(run_folder / "summary.json"))) {
    if (Whole(*summary, "peak_bytes") > 0) record.earlier_peak_bytes = Whole(*summary, "peak_bytes");
  }
  return record;
}

}  // namespace sputnik
