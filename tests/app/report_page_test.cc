#include "app/report_page.h"

#include <gtest/gtest.h>

#include "tests/support/finished_run.h"
#include "tests/support/markup.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(ReportPage, HasEveryPartOfAFinishedRun) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder / "demo");
  const std::string page = ReportPage(ReadRunRecord(folder / "demo"), int64_t{300} << 20);
  EXPECT_EQ(WrongNesting(page), "");
  for (const char* title :
       {"Accuracy", "Improvement", "Controls", "Answers", "Supervised training", "Expert load", "Ledger", "Recipe"}) {
    EXPECT_MENTIONS_ONCE(page, std::string("<h2>") + title + "</h2>");
  }
  EXPECT_MENTIONS_ONCE(page, "<figcaption>Improvement, layer 1</figcaption>");
  EXPECT_MENTIONS_ONCE(page, "exactly 0");
  EXPECT_MENTIONS_ONCE(page, "300 MiB");
  EXPECT_MENTIONS_ONCE(page, "bits per byte, end of pretrain; 95%: 1.280 to 1.340");
  EXPECT_MENTIONS_ONCE(page, "prefers-color-scheme:dark");
}

TEST(ReportPage, NeedsNothingFromElsewhere) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder / "demo");
  const std::string page = ReportPage(ReadRunRecord(folder / "demo"), 0);
  for (const char* reference : {"http", "<script", "<link", "<img", "@import", "url(", "src=", "href="}) {
    EXPECT_EQ(CountOf(page, reference), 0u) << reference;
  }
}

TEST(ReportPage, LeavesOutWhatIsMissing) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder / "demo");
  RunRecord record = ReadRunRecord(folder / "demo");
  record.run.stages.erase(record.run.stages.begin(), record.run.stages.begin() + 2);  // no text, no fine-tuning
  record.run.stages[0].loads.clear();
  record.controls.clear();
  record.samples.clear();
  record.recipe.clear();
  const std::string page = ReportPage(record, 0);
  EXPECT_EQ(WrongNesting(page), "");
  for (const char* part : {"<h2>Controls", "<h2>Answers", "<h2>Supervised", "<h2>Expert load", "<h2>Recipe",
                           "Peak memory", "Held-out text"}) {
    EXPECT_EQ(CountOf(page, part), 0u) << part;
  }
  EXPECT_MENTIONS_ONCE(page, "<h2>Accuracy</h2>");
  const std::string empty = ReportPage({}, 0);
  EXPECT_EQ(WrongNesting(empty), "");
  EXPECT_EQ(CountOf(empty, "<h2>") + CountOf(empty, "<dt>"), 0u);
}

TEST(ReportPage, SaysWhenTrainingAndSamplingDiffer) {
  RunRecord record;
  StageRecord& stage = record.run.stages.emplace_back();
  stage.name = "improve";
  stage.curves["train_rollout_logprob_abs_diff"] = {{1, 0}, {2, 1e-7}, {3, 0}};
  const std::string page = ReportPage(record, 0);
  EXPECT_EQ(CountOf(page, "exactly 0"), 0u);
  EXPECT_MENTIONS_ONCE(page, "<span class=\"wrong\">1e-07</span>");
}

TEST(ReportPage, EscapesWhatComesFromFiles) {
  RunRecord record;
  record.run.name = "<b>&";
  record.recipe = "name = \"</pre><script>\"";
  const std::string page = ReportPage(record, 0);
  EXPECT_EQ(WrongNesting(page), "");
  EXPECT_EQ(CountOf(page, "<b>") + CountOf(page, "<script>"), 0u);
  EXPECT_MENTIONS_ONCE(page, "<h1>&lt;b&gt;&amp;</h1>");
}

}  // namespace
}  // namespace sputnik
