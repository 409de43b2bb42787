// Runs that are cut short and taken up again, and what they leave behind, for tests of "stop anywhere, lose nothing".
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/stop_signal.h"
#include "train/metrics.h"
#include "train/state.h"

namespace sputnik {

// Runs a stage in `folder` from where the folder stands, and calls `after_step` when a step is done and before it is
// saved. False: stopped by a signal.
using RunOnce =
    std::function<bool(const std::filesystem::path& folder, const std::function<void(int64_t step)>& after_step)>;

inline void Nothing(int64_t) {}

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

// Asks the run to stop, politely, while it is in step `step`, and takes it up again.
inline void RunStoppedAt(const RunOnce& run, const std::filesystem::path& folder, int64_t step) {
  InstallStopSignals();
  const bool finished = run(folder, [step](int64_t now) {
    if (now == step) ::raise(SIGTERM);
  });
  ClearStopRequest();
  EXPECT_FALSE(finished) << "the run did not stop";
  EXPECT_TRUE(run(folder, Nothing));
}

// Starts the run in a process of its own.
inline pid_t StartRun(const RunOnce& run, const std::filesystem::path& folder,
                      const std::function<void(int64_t)>& after_step) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    run(folder, after_step);
    ::_exit(0);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "in the run: %s\n", e.what());
    ::_exit(99);
  }
}

// The process dies within step `step`, with whatever lies on the disk then, and the run is taken up again.
inline void RunKilledAt(const RunOnce& run, const std::filesystem::path& folder, int64_t step) {
  const pid_t child = StartRun(run, folder, [step](int64_t now) {
    if (now == step) ::raise(SIGKILL);
  });
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit code " << WEXITSTATUS(status);
  EXPECT_TRUE(run(folder, Nothing));
}

// The process dies after so many seconds, wherever it is, unless it has finished by then; then the run is taken up.
inline void RunKilledAfter(const RunOnce& run, const std::filesystem::path& folder, double seconds) {
  const pid_t child = StartRun(run, folder, Nothing);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (!WIFSIGNALED(status)) {
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  EXPECT_TRUE(run(folder, Nothing));
}

}  // namespace sputnik
