// Runs that are cut short and taken up again, for tests of "stop anywhere, lose nothing".
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/stop_signal.h"
#include "tests/support/run_trace.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {

// Runs a stage in `folder` from where the folder stands, and calls `after_step` when a step is done and before it is
// saved. False: stopped by a signal.
using RunOnce =
    std::function<bool(const std::filesystem::path& folder, const std::function<void(int64_t step)>& after_step)>;

inline void Nothing(int64_t) {}

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

// Where runs are cut: by a signal in a step, by death within a step, by death at a number of moments drawn by `seed`.
struct Cuts {
  std::vector<int64_t> stopped_in, killed_in;
  int moments = 0;
  uint64_t seed = 1;
};

// Cuts the run at each of the points, each in a folder of its own. What comes out in the end is what comes out of a run
// that nobody disturbed; `look` may see that one first.
inline void ExpectResumes(const RunOnce& run, const Cuts& cuts,
                          const std::function<void(const std::filesystem::path&)>& look = {}) {
  const TemporaryFolder whole;
  const auto start = std::chrono::steady_clock::now();
  run(whole.path(), Nothing);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (look) look(whole.path());
  for (const int64_t step : cuts.stopped_in) {
    const TemporaryFolder folder;
    RunStoppedAt(run, folder.path(), step);
    ExpectSameRun(folder.path(), whole.path());
    ASSERT_FALSE(testing::Test::HasFailure()) << "stopped in step " << step;
  }
  for (const int64_t step : cuts.killed_in) {
    const TemporaryFolder folder;
    RunKilledAt(run, folder.path(), step);
    ExpectSameRun(folder.path(), whole.path());
    ASSERT_FALSE(testing::Test::HasFailure()) << "killed in step " << step;
  }
  Random random(cuts.seed, kStreamTest);
  for (int i = 0; i < cuts.moments; ++i) {
    const TemporaryFolder folder;
    const double moment = random.Uniform() * seconds.count();
    RunKilledAfter(run, folder.path(), moment);
    ExpectSameRun(folder.path(), whole.path());
    ASSERT_FALSE(testing::Test::HasFailure()) << "killed after " << moment << " s of " << seconds.count();
  }
}

}  // namespace sputnik
