#include "app/report.h"

#include <fstream>

#include "app/report_ledger.h"
#include "app/report_page.h"
#include "app/run_record.h"
#include "app/run_score.h"
#include "base/file.h"
#include "base/json.h"

namespace sputnik {
namespace {

// The most memory this process has held at once; 0 where the system doesn't say.
int64_t PeakResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) << 10;
  }
  return 0;
}

OrderedJson ResultsJson(const RunRecord& record) {
  OrderedJson results = OrderedJson::array();
  for (const ResultRecord& result : record.results) {
    results.push_back({{"task", result.task},
                       {"split", result.split},
                       {"stage", result.stage},
                       {"level", result.level},
                       {"pass_at_1", result.pass_at_1},
                       {"pass_at_k", result.pass_at_k},
                       {"k", result.k},
                       {"n", result.n},
                       {"ci95", {result.low, result.high}},
                       {"temperature", result.temperature},
                       {"mean_tokens", result.mean_tokens},
                       {"seed", result.seed}});
  }
  return results;
}

OrderedJson OverallJson(const RunRecord& record) {
  OrderedJson overall = OrderedJson::array();
  for (const StageScore& score : ScoreStages(record.results)) {
    overall.push_back({{"task", score.task},
                       {"split", score.split},
                       {"stage", score.stage},
                       {"levels", score.levels},
                       {"pass_at_1", score.pass_at_1},
                       {"pass_at_k", score.pass_at_k},
                       {"ci95", {score.low, score.high}},
                       {"solved_up_to", score.solved_up_to}});
  }
  return overall;
}

// Last figures on held-out text, of the stages that measured any.
OrderedJson TextJson(const RunRecord& record) {
  OrderedJson text = OrderedJson::object();
  for (const StageRecord& stage : record.run.stages) {
    OrderedJson figures;
    for (const char* metric : {"val_bpb", "val_loss", "val_nats_per_character"}) {
      const std::string name = metric;
      if (const Curve* curve = stage.Find(name)) figures[name] = curve->back().y;
      const Curve *low = stage.Find(name + "_ci95_low"), *high = stage.Find(name + "_ci95_high");
      if (low != nullptr && high != nullptr) figures[name + "_ci95"] = {low->back().y, high->back().y};
    }
    if (!figures.empty()) text[stage.name] = figures;
  }
  return text;
}

std::string Summary(const RunRecord& record, int64_t peak_bytes) {
  OrderedJson seconds = OrderedJson::object(), core = seconds, tokens = seconds, flops = seconds, steps = seconds;
  for (const CostRecord& cost : CostsByName(record)) {
    seconds[cost.stage] = cost.wall_seconds;
    core[cost.stage] = cost.core_seconds;
    tokens[cost.stage] = {{"trained", cost.trained_tokens}, {"generated", cost.generated_tokens}};
    flops[cost.stage] = cost.flops;
  }
  for (const StageRecord& stage : record.run.stages) steps[stage.name] = stage.steps;
  for (const CourseRecord& control : record.controls) {
    for (const StageRecord& stage : control.stages) steps[stage.name] = stage.steps;
  }
  OrderedJson json = {{"run", record.run.name}, {"results", ResultsJson(record)}, {"overall", OverallJson(record)}};
  if (const OrderedJson text = TextJson(record); !text.empty()) json["text"] = text;
  json["seconds"] = seconds;
  json["core_seconds"] = core;
  json["tokens"] = tokens;
  json["flops"] = flops;
  json["steps"] = steps;
  if (const auto gap = record.LargestGap()) json["train_rollout_logprob_abs_diff"] = *gap;
  if (record.shape) {
    json["parameters"] = record.shape->parameters;
    json["active_parameters"] = record.shape->active_parameters;
  }
  if (record.peak_flops > 0) json["peak_flops"] = record.peak_flops;
  json["peak_bytes"] = peak_bytes;
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

void WriteReport(const std::filesystem::path& run_folder) {
  const RunRecord record = ReadRunRecord(run_folder);
  // A report that is made again must not take the memory of its own process for the run's.
  const int64_t peak_bytes = record.earlier_peak_bytes.value_or(PeakResidentBytes());
  WriteFileAtomically(run_folder / "report.html", ReportPage(record, peak_bytes));
  WriteFileAtomically(run_folder / "summary.json", Summary(record, peak_bytes));
}

}  // namespace sputnik
