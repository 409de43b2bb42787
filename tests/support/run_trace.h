// What a run leaves behind, without what differs from run to run of the same bits.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "train/metrics.h"
#include "train/state.h"

namespace sputnik {

// A run's metrics, line by line, without the values that differ from run to run.
inline std::vector<std::string> MetricsWithoutTimes(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  const std::string text = ReadFile(folder / "metrics.jsonl");
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    OrderedJson line = OrderedJson::parse(text.substr(begin, end - begin)), kept;
    for (const auto& [key, value] : line.items()) {
      if (!IsTimingMetric(key)) kept[key] = value;
    }
    lines.push_back(kept.dump());
  }
  return lines;
}

inline std::vector<Json> ParsedMetrics(const std::filesystem::path& folder) {
  std::vector<Json> lines;
  for (const std::string& line : MetricsWithoutTimes(folder)) lines.push_back(ParseJson(line, "metrics"));
  return lines;
}

// What must be equal between two runs of the same bits, by name: the newest checkpoint's weights and moments, its place
// in the run, rollouts, and what the ledger counts.
inline std::map<std::string, std::string> RunTrace(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> trace;
  const auto add = [&](const fs::path& path) {
    trace[path.lexically_relative(folder).string()] = Sha256(MappedFile(path).bytes());
  };
  const auto checkpoint = NewestCheckpoint(folder);
  if (!checkpoint) return trace;
  add(*checkpoint / "model.safetensors");
  add(*checkpoint / "trainer" / "optimizer.safetensors");
  const RunState state = ReadRunState(*checkpoint);
  trace["stage"] = state.stage + " " + std::to_string(state.stage_step) + (state.stage_done ? " done" : "");
  trace["best"] = std::to_string(state.best_step);
  for (const auto& [key, value] : state.numbers) {
    if (key != "stage.seconds") trace["number " + key] = std::to_string(value);
  }
  if (fs::exists(folder / "rollouts")) {
    for (const auto& entry : fs::directory_iterator(folder / "rollouts")) add(entry.path());
  }
  const Json ledger = ReadJsonFile(folder / "ledger.json");
  for (const char* key : {"trained_tokens", "generated_tokens", "flops"}) trace[key] = ledger["total"][key].dump();
  return trace;
}

inline void ExpectSameRun(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_EQ(RunTrace(a), RunTrace(b));
  EXPECT_EQ(MetricsWithoutTimes(a), MetricsWithoutTimes(b));
}

}  // namespace sputnik
