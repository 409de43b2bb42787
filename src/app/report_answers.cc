#include "app/report_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/chart.h"
#include "app/html.h"
#include "app/run_score.h"
#include "train/ledger.h"

namespace sputnik {
namespace {

constexpr const char* kBefore = "sft";
constexpr const char* kAfter = "improve";

std::string IntervalText(double value, double low, double high) {
  return fmt::format("{} <small>[{:.1f}, {:.1f}]</small>", PercentText(value), 100 * low, 100 * high);
}

std::string PointsText(double gain) {
  return fmt::format("{}{:.1f}", gain < -0.0005 ? "\u2212" : "+", std::abs(100 * gain));
}

std::string TaskTitle(const std::string& task, const std::string& split) {
  return EscapeHtml(task) + (split == "held_out" ? ", held-out problems" : ", training problems");
}

const StageScore* FindScore(const std::vector<StageScore>& scores, const StageScore& like, const std::string& stage) {
  const auto found = std::find_if(scores.begin(), scores.end(), [&](const StageScore& s) {
    return s.task == like.task && s.split == like.split && s.stage == stage;
  });
  return found == scores.end() ? nullptr : &*found;
}

const ResultRecord* FindResult(const RunRecord& record, const StageScore& like, const std::string& stage,
                               int64_t level) {
  const auto found = std::find_if(record.results.begin(), record.results.end(), [&](const ResultRecord& r) {
    return r.task == like.task && r.split == like.split && r.stage == stage && r.level == level;
  });
  return found == record.results.end() ? nullptr : &*found;
}

// One score per task and split, standing for it.
std::vector<StageScore> TasksOf(const std::vector<StageScore>& scores) {
  std::vector<StageScore> tasks;
  for (const StageScore& score : scores) {
    if (FindScore(tasks, score, tasks.empty() ? "" : tasks.back().stage) == nullptr &&
        std::none_of(tasks.begin(), tasks.end(),
                     [&](const StageScore& t) { return t.task == score.task && t.split == score.split; })) {
      tasks.push_back(score);
    }
  }
  return tasks;
}

std::vector<std::string> MainStages(const RunRecord& record, const StageScore& task) {
  std::vector<std::string> stages;
  for (const ResultRecord& result : record.results) {
    if (result.task != task.task || result.split != task.split || result.stage.starts_with("control_")) continue;
    if (std::find(stages.begin(), stages.end(), result.stage) == stages.end()) stages.push_back(result.stage);
  }
  return stages;
}

std::vector<int64_t> LevelsOf(const RunRecord& record, const StageScore& task) {
  std::vector<int64_t> levels;
  for (const ResultRecord& result : record.results) {
    if (result.task == task.task && result.split == task.split) levels.push_back(result.level);
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

std::string AccuracyOfTask(const RunRecord& record, const StageScore& task, const std::vector<StageScore>& scores) {
  const std::vector<std::string> stages = MainStages(record, task);
  if (stages.empty()) return {};
  const bool gains = stages.size() == 2;
  std::vector<std::string> head = {"Level"};
  IntervalChart chart{.title = "pass@1 by level with 95% intervals: " + task.task, .series = {}, .rows = {}};
  for (const std::string& stage : stages) {
    const StageScore* score = FindScore(scores, task, stage);
    head.push_back(EscapeHtml(StageTitle(stage)) + "<br><small>pass@1, 95%</small>");
    if (score->k > 1) head.push_back(fmt::format("<small>pass@{}</small>", score->k));
    chart.series.push_back(StageTitle(stage));
  }
  if (gains) head.push_back("Gain<br><small>points</small>");
  std::string rows;
  const auto add_row = [&](const std::string& name, const auto& find) {
    std::vector<std::string> cells = {name};
    double first = 0, last = 0;
    bool all = true;
    for (const std::string& stage : stages) {
      const auto* found = find(stage);
      all = all && found != nullptr;
      cells.push_back(found ? IntervalText(found->pass_at_1, found->low, found->high) : "");
      if (FindScore(scores, task, stage)->k > 1) cells.push_back(found ? PercentText(found->pass_at_k) : "");
      if (found == nullptr) continue;
      if (stage == stages.front()) first = found->pass_at_1;
      last = found->pass_at_1;
    }
    if (gains) cells.push_back(all ? PointsText(last - first) : "");
    rows += Cells("td", cells);
  };
  const std::vector<int64_t> levels = LevelsOf(record, task);
  for (const int64_t level : levels) {
    add_row(std::to_string(level), [&](const std::string& stage) { return FindResult(record, task, stage, level); });
    IntervalChart::Row& row = chart.rows.emplace_back();
    row.label = fmt::format("level {}", level);
    for (const std::string& stage : stages) {
      const ResultRecord* result = FindResult(record, task, stage, level);
      row.marks.push_back(result ? ShareMark{result->pass_at_1, result->low, result->high} : ShareMark{});
    }
  }
  if (levels.size() > 1) add_row("mean", [&](const std::string& stage) { return FindScore(scores, task, stage); });
  const ResultRecord* any = FindResult(record, task, stages.front(), levels.front());
  std::string note;
  if (any != nullptr) {
    note = fmt::format("<p class=\"note\">{} problems per level, {} at temperature {}, seed {}.</p>\n",
                       GroupedNumber(any->n), any->k == 1 ? "one answer" : fmt::format("{} answers each", any->k),
                       any->temperature, any->seed);
  }
  return "<h3>" + TaskTitle(task.task, task.split) + "</h3>\n" + note + "<div class=\"grid split\">\n" +
         Table(Cells("th", head), rows, levels.size() > 1 ? "numbers summed" : "numbers") + "<figure>\n" +
         DrawIntervals(chart) + "</figure>\n</div>\n";
}

const SampleRecord* FindSample(const RunRecord& record, const SampleRecord& like, const std::string& stage) {
  const auto found = std::find_if(record.samples.begin(), record.samples.end(), [&](const SampleRecord& s) {
    return s.stage == stage && s.task == like.task && s.level == like.level && s.prompt == like.prompt;
  });
  return found == record.samples.end() ? nullptr : &*found;
}

std::string SampleCell(const SampleRecord* sample) {
  constexpr size_t kLongest = 600;
  if (sample == nullptr) return {};
  return fmt::format("<span class=\"{0}\">{1}</span> <code>{2}</code>",
                     sample->correct ? "right\" title=\"correct" : "wrong\" title=\"incorrect",
                     sample->correct ? "\u2713" : "\u2717", EscapeHtml(Shortened(sample->completion, kLongest)));
}

Curve MeanAccuracy(const StageRecord& stage) {
  std::vector<const Curve*> curves;
  for (const auto& [level, curve] : stage.ByLevel("eval/accuracy")) curves.push_back(curve);
  return MeanCurve(curves);
}

struct Course {
  std::string stage;
  const StageRecord* metrics = nullptr;
  const CostRecord* cost = nullptr;
};

// Without "Control: ", where only such are shown.
std::string CourseTitle(const Course& course) {
  const std::string title = StageTitle(course.stage);
  const size_t colon = title.find(": ");
  return colon == title.npos ? title : title.substr(colon + 2);
}

// `improve` and the controls, each a stage that began where fine-tuning ended.
std::vector<Course> Courses(const RunRecord& record) {
  std::vector<Course> courses;
  const auto add = [&](const CourseRecord& course, const std::string& stage) {
    const auto cost =
        std::find_if(course.costs.begin(), course.costs.end(), [&](const CostRecord& c) { return c.stage == stage; });
    courses.push_back({stage, course.FindStage(stage), cost == course.costs.end() ? nullptr : &*cost});
  };
  add(record.run, kAfter);
  for (const CourseRecord& control : record.controls) {
    if (!control.stages.empty()) {
      add(control, control.stages.front().name);
      continue;
    }
    for (const CostRecord& cost : control.costs) {
      if (cost.stage != kEvaluationPart && cost.stage != kOtherPart) add(control, cost.stage);
    }
  }
  return courses;
}

std::string ControlsTable(const RunRecord& record, const StageScore& task, const std::vector<StageScore>& scores) {
  const StageScore* start = FindScore(scores, task, kBefore);
  const int64_t k = task.k;
  std::string rows;
  const auto add = [&](const std::string& name, const StageScore* score, const Course* course) {
    std::vector<std::string> cells = {name};
    cells.push_back(score ? IntervalText(score->pass_at_1, score->low, score->high) : "");
    const bool gained = course != nullptr && score != nullptr && start != nullptr;
    cells.push_back(gained ? PointsText(score->pass_at_1 - start->pass_at_1) : "");
    if (k > 1) cells.push_back(score ? PercentText(score->pass_at_k) : "");
    cells.push_back(course && course->metrics ? GroupedNumber(course->metrics->steps) : "");
    cells.push_back(course && course->cost ? GroupedNumber(course->cost->trained_tokens) : "");
    cells.push_back(course && course->cost ? GroupedNumber(course->cost->generated_tokens) : "");
    cells.push_back(course && course->cost ? GroupedNumber(course->cost->core_seconds, 1) : "");
    rows += Cells("td", cells);
  };
  if (start != nullptr) add("Common start", start, nullptr);
  for (const Course& course : Courses(record)) {
    const StageScore* score = FindScore(scores, task, course.stage);
    if (score != nullptr || course.cost != nullptr) add(EscapeHtml(CourseTitle(course)), score, &course);
  }
  std::vector<std::string> head = {"From the same start", "pass@1<br><small>mean of levels, 95%</small>",
                                   "Gain<br><small>points</small>"};
  if (k > 1) head.push_back(fmt::format("pass@{}", k));
  head.insert(head.end(),
              {"Steps", "Tokens<br><small>trained</small>", "Tokens<br><small>generated</small>", "Core-<br>seconds"});
  return Table(Cells("th", head), rows, "numbers");
}

}  // namespace

std::string AccuracySection(const RunRecord& record) {
  const std::vector<StageScore> scores = ScoreStages(record.results);
  std::string text;
  for (const StageScore& task : TasksOf(scores)) text += AccuracyOfTask(record, task, scores);
  return text;
}

std::string SamplesSection(const RunRecord& record) {
  constexpr size_t kOpen = 24;  // rows that are shown unasked
  std::vector<std::string> stages;
  for (const char* stage : {kBefore, kAfter}) {
    const bool there = std::any_of(record.samples.begin(), record.samples.end(),
                                   [&](const SampleRecord& s) { return s.stage == stage; });
    if (there) stages.push_back(stage);
  }
  if (stages.empty()) return {};
  std::vector<std::string> head = {"Level", "Prompt", "Expected"};
  if (stages.size() == 2) {
    head.insert(head.end(), {"Before improvement", "After improvement"});
  } else {
    head.push_back(EscapeHtml(StageTitle(stages.front())));
  }
  std::vector<std::string> rows;
  for (const SampleRecord& sample : record.samples) {
    if (sample.stage != stages.back()) continue;
    std::vector<std::string> cells = {std::to_string(sample.level),
                                      "<code>" + EscapeHtml(Shortened(sample.prompt, 300)) + "</code>",
                                      "<code>" + EscapeHtml(Shortened(sample.answer, 300)) + "</code>"};
    for (const std::string& stage : stages) cells.push_back(SampleCell(FindSample(record, sample, stage)));
    rows.push_back(Cells("td", cells));
  }
  std::string open, folded;
  for (size_t i = 0; i < rows.size(); ++i) (i < kOpen ? open : folded) += rows[i];
  std::string text = Table(Cells("th", head), open, "samples");
  if (!folded.empty()) {
    text += fmt::format("<details><summary>{} more</summary>\n{}</details>\n", rows.size() - kOpen,
                        Table(Cells("th", head), folded, "samples"));
  }
  return text;
}

std::string ControlsSection(const RunRecord& record) {
  if (record.controls.empty()) return {};
  const std::vector<StageScore> scores = ScoreStages(record.results);
  std::string text;
  const std::vector<StageScore> tasks = TasksOf(scores);
  for (const StageScore& task : tasks) {
    if (tasks.size() > 1) text += "<h3>" + TaskTitle(task.task, task.split) + "</h3>\n";
    text += ControlsTable(record, task, scores);
  }
  LineChart chart{.title = "mean held-out accuracy over steps, improvement and controls", .series = {}, .share = true};
  for (const Course& course : Courses(record)) {
    if (course.metrics == nullptr) continue;
    chart.series.push_back({.label = CourseTitle(course), .curve = MeanAccuracy(*course.metrics)});
  }
  return text + Grid(Figure("Held-out accuracy, mean of levels", DrawLines(chart)));
}

}  // namespace sputnik
