#include "train/metrics.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/json.h"

namespace sputnik {

MetricsLine::MetricsLine(std::string_view stage, int64_t step) {
  Set("stage", stage);
  Set("step", step);
}

void MetricsLine::Key(std::string_view key) {
  if (text_.size() > 1) text_ += ", ";
  text_ += Json(key).dump() + ": ";
}

void MetricsLine::Set(std::string_view key, double value) {
  Key(key);
  text_ += std::isfinite(value) ? fmt::format("{}", value) : "null";
}

void MetricsLine::Set(std::string_view key, int64_t value) {
  Key(key);
  text_ += std::to_string(value);
}

void MetricsLine::Set(std::string_view key, std::string_view value) {
  Key(key);
  text_ += Json(value).dump();
}

void MetricsLine::Set(std::string_view key, const std::vector<int64_t>& values) {
  Key(key);
  text_ += Json(values).dump();
}

bool IsTimingMetric(std::string_view key) {
  constexpr std::array kTiming = {"step_time", "tokens_per_second", "peak_share", "seconds", "core_seconds"};
  for (const std::string_view name : kTiming) {
    if (key == name) return true;
  }
  return false;
}

}  // namespace sputnik
