#include "train/run_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/json.h"
#include "kernel/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() : decoder_(TinyConfig(), DType::kF32, true), optimizer_(decoder_.params(), {}) {
    decoder_.params().Initialise(decoder_.config(), 1);
  }
  RunFolder Open(bool resume) { return RunFolder(root_ / "run", resume, {}, 0); }
  void Log(RunFolder& run, int64_t step) { run.Log(MetricsLine("pretrain", step)); }
  void Save(RunFolder& run, int64_t step) {
    run.Save({.global_step = step, .stage = "pretrain", .stage_step = step}, decoder_, optimizer_, 2, false);
  }
  std::string Metrics() { return ReadFile(root_ / "run" / "metrics.jsonl"); }

  TemporaryFolder root_;
  Decoder decoder_;
  Optimizer optimizer_;
};

TEST_F(RunFolderTest, ASecondRunInTheSameFolderIsRefused) {
  const RunFolder run = Open(false);
  for (const bool resume : {false, true}) {
    const std::string message = ExpectError(ExitCode::kUsage, [&] { Open(resume); });
    EXPECT_MENTIONS(message, (root_ / "run").string());
  }
}

TEST_F(RunFolderTest, AnOldRunIsNotOverwrittenUnasked) {
  {
    RunFolder run = Open(false);
    Log(run, 1);
  }
  const std::string message = ExpectError(ExitCode::kUsage, [&] { Open(false); });
  EXPECT_MENTIONS(message, "--resume");
  EXPECT_MENTIONS(message, "--out");
  EXPECT_FALSE(Metrics().empty());
}

TEST_F(RunFolderTest, ResumingDropsWhatWasLoggedAfterTheCheckpoint) {
  std::string at_checkpoint;
  {
    RunFolder run = Open(false);
    Log(run, 1);
    Log(run, 2);
    Save(run, 2);
    at_checkpoint = Metrics();
    Log(run, 3);
  }
  RunFolder run = Open(true);
  ASSERT_TRUE(run.checkpoint());
  EXPECT_EQ(run.checkpoint()->filename(), "step-2");
  EXPECT_EQ(run.resumed().stage_step, 2);
  EXPECT_EQ(Metrics(), at_checkpoint);
  Log(run, 3);
  EXPECT_EQ(std::count(at_checkpoint.begin(), at_checkpoint.end(), '\n'), 2);
  EXPECT_EQ(Metrics().substr(0, at_checkpoint.size()), at_checkpoint);
}

TEST_F(RunFolderTest, ResumingWithoutACheckpointStartsAnew) {
  {
    RunFolder run = Open(false);
    Log(run, 1);
  }
  const RunFolder run = Open(true);
  EXPECT_FALSE(run.checkpoint());
  EXPECT_EQ(Metrics(), "");
}

// The ledger goes with the checkpoint that is taken up, whatever the file beside the metrics says: a kill between the
// two writes, or a newest checkpoint that turned out broken, must not count tokens twice or lose them.
TEST_F(RunFolderTest, TheLedgerIsTheCheckpoints) {
  {
    RunFolder run = Open(false);
    run.ledger().stage("pretrain").trained_tokens = 100;
    Save(run, 1);
    run.ledger().stage("pretrain").trained_tokens = 250;
    Save(run, 2);
  }
  EXPECT_EQ(ReadJsonFile(root_ / "run" / "ledger.json")["total"]["trained_tokens"], 250);
  fs::resize_file(root_ / "run" / "checkpoints" / "step-2" / "model.safetensors", 100);
  RunFolder run = Open(true);
  EXPECT_EQ(run.checkpoint()->filename(), "step-1");
  EXPECT_EQ(run.ledger().stage("pretrain").trained_tokens, 100);
}

// What is evaluated after the end of a stage is in no checkpoint, and must not be lost when the run is taken up.
TEST_F(RunFolderTest, TheLedgerKeepsEvaluationsSinceTheCheckpoint) {
  {
    RunFolder run = Open(false);
    run.ledger().stage("pretrain").trained_tokens = 100;
    Save(run, 1);
    run.ledger().stage(kEvaluationPart).generated_tokens = 30;
    run.SaveLedger();
  }
  {
    RunFolder run = Open(true);
    EXPECT_EQ(run.ledger().stage("pretrain").trained_tokens, 100);
    EXPECT_EQ(run.ledger().stage(kEvaluationPart).generated_tokens, 30);
  }
  std::ofstream(root_ / "run" / "ledger.json") << "{";
  RunFolder run = Open(true);
  EXPECT_EQ(run.ledger().stage("pretrain").trained_tokens, 100) << "the checkpoint's own";
}

TEST_F(RunFolderTest, SavingIsBookedApartFromTheStage) {
  RunFolder run = Open(false);
  run.SetExtraFiles([](const fs::path&) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
  Save(run, 1);
  const double stage = run.ledger().stage("pretrain").wall_seconds, other = run.ledger().stage(kOtherPart).wall_seconds;
  EXPECT_GE(other, 0.02);
  EXPECT_GT(stage, 0);
  Save(run, 2);
  EXPECT_GE(run.ledger().stage(kOtherPart).wall_seconds, other + 0.02);
}

TEST_F(RunFolderTest, EveryCheckpointCarriesTheExtraFiles) {
  RunFolder run = Open(false);
  run.SetExtraFiles([](const fs::path& folder) { std::ofstream(folder / "tokenizer.json") << "{}"; });
  Save(run, 1);
  EXPECT_EQ(ReadFile(*run.checkpoint() / "tokenizer.json"), "{}");
  EXPECT_NO_THROW(VerifyCheckpoint(*run.checkpoint()));
}

TEST_F(RunFolderTest, AFolderThatCannotBeIsNamed) {
  std::ofstream(root_ / "file") << "x";
  for (const fs::path& path : {root_ / "file" / "run", fs::path("/proc/sputnik_run")}) {
    const std::string message = ExpectError(ExitCode::kFailure, [&] { RunFolder(path, false, {}, 0); });
    EXPECT_MENTIONS(message, path.string());
  }
}

}  // namespace
}  // namespace sputnik
