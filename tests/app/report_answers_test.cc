#include "app/report_answers.h"

#include <gtest/gtest.h>

#include "tests/support/markup.h"

namespace sputnik {
namespace {

ResultRecord Result(const std::string& stage, int64_t level, double pass) {
  return {.task = "add<ition",
          .split = "held_out",
          .stage = stage,
          .level = level,
          .pass_at_1 = pass,
          .pass_at_k = 1,
          .k = 16,
          .n = 200,
          .low = pass - 0.0625,
          .high = pass + 0.0625,
          .temperature = 1,
          .mean_tokens = 3,
          .seed = 7};
}

TEST(ReportAnswers, ShowsBeforeAfterAndGain) {
  RunRecord record;
  record.results = {Result("sft", 1, 0.25), Result("improve", 1, 0.875)};
  const std::string text = AccuracySection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(text, "add&lt;ition, held-out problems");
  EXPECT_MENTIONS_ONCE(text, "25.0% <small>[18.8, 31.2]</small>");
  EXPECT_MENTIONS_ONCE(text, "87.5% <small>[81.2, 93.8]</small>");
  EXPECT_MENTIONS_ONCE(text, "<td>+62.5</td>");
  EXPECT_EQ(CountOf(text, "pass@16"), 2u);
}

TEST(ReportAnswers, ALevelThatOneStageLacksStaysEmpty) {
  RunRecord record;
  record.results = {Result("sft", 1, 0.25), Result("improve", 1, 0.875), Result("improve", 2, 0.5)};
  const std::string text = AccuracySection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(
      text, "<tr><td>2</td><td></td><td></td><td>50.0% <small>[43.8, 56.2]</small></td><td>100.0%</td><td></td></tr>");
}

TEST(ReportAnswers, SamplesStandSideBySideAndAreEscaped) {
  RunRecord record;
  record.samples = {{.stage = "improve",
                     .task = "t",
                     .prompt = "1 + 1",
                     .answer = "2",
                     .completion = "2",
                     .level = 1,
                     .correct = true},
                    {.stage = "sft",
                     .task = "t",
                     .prompt = "1 + 1",
                     .answer = "2",
                     .completion = "<script>alert(1)</script>",
                     .level = 1,
                     .correct = false}};
  const std::string text = SamplesSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_EQ(CountOf(text, "<script"), 0u);
  EXPECT_EQ(CountOf(text, "<tr>"), 2u);  // the head, and one row for both
  const size_t wrong = text.find("class=\"wrong\" title=\"incorrect\">✗</span> <code>&lt;script&gt;");
  const size_t right = text.find("class=\"right\" title=\"correct\">✓</span> <code>2</code>");
  ASSERT_NE(wrong, text.npos);
  ASSERT_NE(right, text.npos);
  EXPECT_LT(wrong, right);
}

TEST(ReportAnswers, ControlsShowTheirGainOverTheCommonStart) {
  RunRecord record;
  record.results = {Result("sft", 1, 0.25), Result("improve", 1, 0.875), Result("control_random", 1, 0.234375)};
  record.controls.resize(1);
  record.controls[0].costs = {
      {.stage = "evaluation", .trained_tokens = 99, .currency = "EUR"},
      {.stage = "control_random", .trained_tokens = 4321, .core_seconds = 1234.5, .currency = "EUR"}};
  const std::string text = ControlsSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(text, "<td>random reward</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>−1.6</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>+62.5</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>4,321</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>1,234.5</td>");
}

TEST(ReportAnswers, NothingMeasuredIsNothingShown) {
  EXPECT_EQ(AccuracySection({}), "");
  EXPECT_EQ(SamplesSection({}), "");
  EXPECT_EQ(ControlsSection({}), "");
}

}  // namespace
}  // namespace sputnik
