// metrics.jsonl: one JSON object per step, the truth about a run. Everything else is an export of it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace sputnik {

// One line under construction; keys keep their order. Numbers are printed so that they read back exactly.
class MetricsLine {
 public:
  MetricsLine(std::string_view stage, int64_t step);

  void Set(std::string_view key, double value);  // non-finite: null
  void Set(std::string_view key, int64_t value);
  void Set(std::string_view key, std::string_view value);
  void Set(std::string_view key, const std::vector<int64_t>& values);

  // What an evaluation says of the weights at this step, higher is better: decides which checkpoint is the best. Not
  // printed.
  void SetQuality(double quality) { quality_ = quality; }
  const std::optional<double>& quality() const { return quality_; }

  std::string Text() const { return text_ + "}"; }

 private:
  void Key(std::string_view key);
  std::string text_ = "{";
  std::optional<double> quality_;
};

// Values that differ between two runs of the same bits: times and what is computed from them. Comparisons leave them
// out.
bool IsTimingMetric(std::string_view key);

}  // namespace sputnik
