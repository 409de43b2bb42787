// Saves survive a failure of the power, not only of the process: what the disk holds at any moment, by its own order of
// doing things, is a whole run.
#include "tests/support/power_loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"
#include "train/run_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class PowerLossTest : public testing::Test {
 protected:
  PowerLossTest() : decoder_(TinyConfig(), DType::kF32, true), optimizer_(decoder_.params(), {}) {}

  void Save(RunFolder& run, int64_t step, bool pinned = false, int64_t best_step = -1) {
    decoder_.params().Initialise(decoder_.config(), static_cast<uint64_t>(step));
    run.Log(MetricsLine("sft", step));
    metrics_ = ReadFile(Run() / "metrics.jsonl");
    run.Save({.global_step = step, .stage = "sft", .stage_step = step, .best_step = best_step}, decoder_, optimizer_, 1,
             pinned);
  }
  fs::path Run() const { return folder_ / "runs" / "demo"; }

  // Whatever was found has no broken checkpoint under a whole one's name, `latest` names a whole one, and the newest
  // and its metrics are there, of one of `steps`; 0 stands for none.
  void ExpectWhole(const PowerLoss::Tree& tree, const std::set<int64_t>& steps) {
    const TemporaryFolder found;
    PowerLoss::Write(tree, found.path());
    const fs::path run = found / "runs" / "demo", checkpoints = run / "checkpoints";
    if (fs::exists(checkpoints)) {
      for (const auto& entry : fs::directory_iterator(checkpoints)) {
        const std::string name = entry.path().filename();
        if (name.starts_with("step-") && name.find('.') == std::string::npos) VerifyCheckpoint(entry.path());
        if (name == "latest") VerifyCheckpoint(checkpoints / Line(entry.path()));
      }
    }
    const auto newest = NewestCheckpoint(run);
    EXPECT_TRUE(steps.contains(newest ? ReadRunState(*newest).global_step : 0)) << (newest ? newest->string() : "none");
    if (!newest) return;
    const auto bytes = static_cast<size_t>(ReadRunState(*newest).metrics_bytes);
    EXPECT_EQ(ReadFile(run / "metrics.jsonl").substr(0, bytes), metrics_.substr(0, bytes));
    EXPECT_EQ(ReadRunState(*newest).global_step,
              0 + std::count(metrics_.begin(), metrics_.begin() + static_cast<std::ptrdiff_t>(bytes), '\n'));
  }
  static std::string Line(const fs::path& path) {
    std::string text = ReadFile(path);
    EXPECT_TRUE(text.ends_with('\n')) << text;
    return text.substr(0, text.size() - 1);
  }
  void ExpectWholeAtEveryMoment(PowerLoss& disk, const std::set<int64_t>& steps, size_t at_least) {
    const std::set<PowerLoss::Tree> moments = disk.TakeMoments();
    PowerLoss::watched = nullptr;  // of what the checks do
    EXPECT_GE(moments.size(), at_least);
    for (const PowerLoss::Tree& moment : moments) {
      try {
        ExpectWhole(moment, steps);
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
      ASSERT_FALSE(HasFailure()) << "of " << moments.size() << " moments";
    }
    PowerLoss::watched = &disk;
  }
  // What has returned is there for good.
  void ExpectSaved(PowerLoss& disk, int64_t step) {
    disk.TakeMoments();
    disk.Moment();
    ExpectWholeAtEveryMoment(disk, {step}, 1);
  }

  TemporaryFolder folder_;
  Decoder decoder_;
  Optimizer optimizer_;
  std::string metrics_;
};

TEST_F(PowerLossTest, FilesAndLogsAreThereWithTheirNames) {
  PowerLoss disk(folder_.path());
  LineAppender log(folder_ / "log");
  log.Append("a line");
  log.Sync();
  disk.TakeMoments();
  disk.Moment();
  EXPECT_EQ(disk.TakeMoments(), (std::set<PowerLoss::Tree>{{{"log", "a line\n"}}}));
  WriteFileAtomically(folder_ / "file", "all of it");
  disk.TakeMoments();
  disk.Moment();
  EXPECT_EQ(disk.TakeMoments(), (std::set<PowerLoss::Tree>{{{"file", "all of it"}, {"log", "a line\n"}}}));
}

TEST_F(PowerLossTest, EveryMomentOfASaveLeavesAWholeRun) {
  PowerLoss disk(folder_.path());
  RunFolder run(Run(), false, {}, 0);
  run.SetExtraFiles([](const fs::path& folder) {
    WriteFileAtomically(folder / "tokenizer.json", "{}");
    std::ofstream(folder / "note.txt") << "written without any care";
  });
  Save(run, 1);
  ExpectWholeAtEveryMoment(disk, {0, 1}, 20);
  ExpectSaved(disk, 1);
  Save(run, 2, true, 1);
  ExpectWholeAtEveryMoment(disk, {1, 2}, 20);
  ExpectSaved(disk, 2);
  Save(run, 3);  // the first one goes
  EXPECT_FALSE(fs::exists(Run() / "checkpoints/step-1"));
  ExpectWholeAtEveryMoment(disk, {2, 3}, 20);
  ExpectSaved(disk, 3);
}

// A run that is stopped in the step that it has just saved puts the new checkpoint in the old one's place.
TEST_F(PowerLossTest, SoDoesASaveInThePlaceOfAnother) {
  PowerLoss disk(folder_.path());
  RunFolder run(Run(), false, {}, 0);
  Save(run, 1);
  ExpectSaved(disk, 1);
  decoder_.params().Initialise(decoder_.config(), 7);
  run.Save({.global_step = 1, .stage = "sft", .stage_step = 1}, decoder_, optimizer_, 1, true);
  ExpectWholeAtEveryMoment(disk, {1}, 20);
  ExpectSaved(disk, 1);
}

}  // namespace
}  // namespace sputnik
