#include "app/report.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/finished_run.h"
#include "tests/support/markup.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(Report, TheSummaryHoldsTheFiguresExactly) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder.path());
  WriteReport(folder.path());
  const Json summary = ReadJsonFile(folder / "summary.json");
  std::vector<Json> written;
  for (const std::string stage :
       {"sft", "improve", "control_continued_sft", "control_expert_iteration", "control_random"}) {
    std::ifstream in(folder / ("results/" + stage + ".jsonl"));
    for (std::string line; std::getline(in, line);) written.push_back(ParseJson(line, stage));
  }
  ASSERT_EQ(summary["results"].size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) EXPECT_EQ(summary["results"][i], written[i]);
  EXPECT_EQ(summary["seconds"], (Json{{"pretrain", 152.25},
                                      {"sft", 31.5},
                                      {"improve", 240.125},
                                      {"control_random", 236.0},
                                      {"control_continued_sft", 27.0},
                                      {"control_expert_iteration", 236.0}}));
  EXPECT_EQ(summary["core_seconds"]["control_random"], 465.5);
  EXPECT_EQ(summary["tokens"]["improve"], (Json{{"trained", 901120}, {"generated", 1105920}}));
  EXPECT_EQ(summary["steps"]["improve"], kImproveSteps);
  EXPECT_EQ(summary["text"]["pretrain"]["val_bpb"], 1.31 + 2.6 * std::exp(-9.0));
  EXPECT_EQ(summary["text"]["pretrain"]["val_bpb_ci95"],
            (Json{1.28 + 2.6 * std::exp(-9.0), 1.34 + 2.6 * std::exp(-9.0)}));
  EXPECT_FALSE(summary["text"]["pretrain"].contains("val_loss_ci95"));
  EXPECT_EQ(summary["train_rollout_logprob_abs_diff"], 0.0);
  EXPECT_EQ(summary["overall"].size(), 5u);
  EXPECT_GT(summary["peak_bytes"].get<int64_t>(), 1 << 20);
}

TEST(Report, MadeAgainItIsTheSameAndKeepsTheRunsMemory) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder.path());
  std::ofstream(folder / "summary.json") << "{\"peak_bytes\": 123456789}";
  WriteReport(folder.path());
  const std::string page = ReadFile(folder / "report.html"), summary = ReadFile(folder / "summary.json");
  EXPECT_EQ(ReadJsonFile(folder / "summary.json")["peak_bytes"], 123456789);
  EXPECT_EQ(CountOf(page, "117 MiB"), 1u);
  WriteReport(folder.path());
  EXPECT_EQ(ReadFile(folder / "report.html"), page);
  EXPECT_EQ(ReadFile(folder / "summary.json"), summary);
}

TEST(Report, AnEmptyFolderGetsAnEmptyReport) {
  const TemporaryFolder folder;
  WriteReport(folder.path());
  const Json summary = ReadJsonFile(folder / "summary.json");
  EXPECT_EQ(summary["results"], Json::array());
  EXPECT_EQ(summary["seconds"], Json::object());
  EXPECT_FALSE(summary.contains("text") || summary.contains("train_rollout_logprob_abs_diff"));
  EXPECT_EQ(WrongNesting(ReadFile(folder / "report.html")), "");
}

}  // namespace
}  // namespace sputnik
