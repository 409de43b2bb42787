#include "app/report_curves.h"

#include <fmt/format.h>

#include "app/chart.h"
#include "app/html.h"

namespace sputnik {
namespace {

constexpr const char* kAfter = "improve";

std::string LossFigure(const StageRecord& stage) {
  LineChart chart{.title = "loss over steps, " + stage.name, .series = {}};
  const auto add = [&](const char* metric, const char* label, bool noisy) {
    if (const Curve* curve = stage.Find(metric)) {
      chart.series.push_back({.label = label, .curve = *curve, .noisy = noisy});
    }
  };
  add("loss", "train", true);
  add("val_loss", "held-out", false);
  return Figure(fmt::format("{}: loss, nats per token", StageTitle(stage.name)), DrawLines(chart));
}

struct Look {
  bool noisy = false, from_zero = false, steps = false;
};

std::string CurveFigure(const StageRecord& stage, const std::string& caption, Look look,
                        const std::vector<std::pair<const char*, const char*>>& metrics) {
  LineChart chart{.title = caption, .series = {}, .from_zero = look.from_zero};
  for (const auto& [metric, label] : metrics) {
    const Curve* curve = stage.Find(metric);
    if (curve == nullptr) continue;
    chart.series.push_back({.label = label, .curve = *curve, .noisy = look.noisy, .steps = look.steps});
  }
  return Figure(caption, DrawLines(chart));
}

std::string LevelRows(const StageRecord& stage, const std::string& prefix, const std::string& caption, bool noisy) {
  LineChart chart{.title = caption, .series = {}};
  for (const auto& [level, curve] : stage.ByLevel(prefix)) {
    chart.series.push_back({.label = fmt::format("level {}", level), .curve = *curve, .noisy = noisy});
  }
  return Figure(caption, DrawRows(chart));
}

}  // namespace

std::string TextCurves(const RunRecord& record) {
  std::string figures;
  for (const StageRecord& stage : record.run.stages) {
    if (stage.name == kAfter) continue;
    figures += LossFigure(stage);
    figures += CurveFigure(stage, StageTitle(stage.name) + ": held-out bits per byte", {}, {{"val_bpb", "held-out"}});
    figures += LevelRows(stage, "eval/accuracy", StageTitle(stage.name) + ": held-out accuracy by level", false);
  }
  return Grid(figures);
}

std::string ImproveCurves(const RunRecord& record) {
  std::string text;
  for (const StageRecord& stage : record.run.stages) {
    if (stage.name != kAfter) continue;
    text += CurveFigure(stage, "Reward, mean of a round", {.noisy = true, .from_zero = true},
                        {{"reward", "all levels"}, {"level_reward", "hardest"}});
    text += CurveFigure(stage, "Level of the curriculum", {.from_zero = true, .steps = true}, {{"level", "level"}});
    text += LevelRows(stage, "eval/accuracy", "Held-out accuracy by level", false);
    text += LevelRows(stage, "accuracy", "Accuracy of the training rollouts by level", true);
    text += CurveFigure(stage, "Policy loss", {.noisy = true}, {{"loss", "loss"}});
    text += CurveFigure(stage, "Entropy, nats per token", {.noisy = true, .from_zero = true}, {{"entropy", "entropy"}});
    text += CurveFigure(stage, "Length of an answer, tokens", {.noisy = true, .from_zero = true},
                        {{"completions/mean_length", "mean"}});
  }
  return Grid(text);
}

std::string LoadSection(const RunRecord& record) {
  if (!record.shape || record.shape->experts == 0) return {};
  const auto experts = static_cast<size_t>(record.shape->experts);
  std::string text;
  for (const StageRecord& stage : record.run.stages) {
    if (stage.loads.empty()) continue;
    const size_t size = stage.loads.back().size();
    if (size % experts != 0) continue;
    std::string figures;
    for (size_t layer = 0; layer < size / experts; ++layer) {
      const std::vector<int64_t>& main = record.shape->expert_layers;
      const std::string name = layer < main.size() ? fmt::format("layer {}", main[layer])
                                                   : fmt::format("prediction module {}", layer - main.size() + 1);
      HeatStrip strip{
          .title = fmt::format("tokens per expert over steps, {}, {}", stage.name, name), .steps = {}, .columns = {}};
      for (size_t t = 0; t < stage.loads.size(); ++t) {
        if (stage.loads[t].size() != size) continue;
        const auto begin = stage.loads[t].begin() + static_cast<std::ptrdiff_t>(layer * experts);
        strip.columns.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(experts));
        strip.steps.push_back(stage.load_steps[t]);
      }
      figures += Figure(StageTitle(stage.name) + ", " + name, DrawHeat(strip));
    }
    text += Grid(figures);
  }
  return text.empty() ? text
                      : "<p class=\"note\">One row per expert. Tokens it got, against an even share:</p>\n"
                        "<div class=\"key\">" +
                            DrawHeatKey() + "</div>\n" + text;
}

}  // namespace sputnik
