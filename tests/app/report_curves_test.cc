#include "app/report_curves.h"

#include <gtest/gtest.h>

#include "tests/support/markup.h"

namespace sputnik {
namespace {

StageRecord Stage(const std::string& name, const std::vector<std::string>& metrics) {
  StageRecord stage{.name = name, .steps = 2, .curves = {}, .load_steps = {}, .loads = {}};
  for (const std::string& metric : metrics) stage.curves[metric] = {{1, 0.25}, {2, 0.5}};
  return stage;
}

TEST(ReportCurves, EveryMeasuredMetricHasItsFigure) {
  RunRecord record;
  record.run.stages = {
      Stage("pretrain", {"loss", "val_loss", "val_bpb"}),
      Stage("improve", {"loss", "reward", "level", "eval/accuracy/1", "eval/accuracy/2", "accuracy/1"})};
  const std::string text = TextCurves(record), improve = ImproveCurves(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_EQ(WrongNesting(improve), "");
  EXPECT_EQ(CountOf(text, "<figure>"), 2u);
  EXPECT_MENTIONS_ONCE(text, "<figcaption>Pretraining: loss, nats per token</figcaption>");
  EXPECT_MENTIONS_ONCE(text, "<figcaption>Pretraining: held-out bits per byte</figcaption>");
  EXPECT_EQ(CountOf(improve, "<figure>"), 5u);
  for (const char* caption : {"Reward", "Level of the curriculum", "Held-out accuracy", "Accuracy of the training"}) {
    EXPECT_MENTIONS_ONCE(improve, std::string("<figcaption>") + caption);
  }
  EXPECT_EQ(CountOf(improve, ">level 2<"), 1u);
}

TEST(ReportCurves, AListOfLoadsIsCutIntoLayers) {
  RunRecord record;
  record.shape =
      ShapeRecord{.layers = 3, .experts = 2, .experts_per_token = 1, .expert_layers = {1, 2}, .mtp_layers = 1};
  record.run.stages = {Stage("pretrain", {})};
  record.run.stages[0].load_steps = {10, 20, 30};
  record.run.stages[0].loads = {
      {5, 5, 9, 1, 0, 4}, {900, 0, 9, 1, 0, 4, 7, 7}, {5, 5, 9, 1, 0, 4}};  // the second is broken
  const std::string text = LoadSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_EQ(CountOf(text, "<figure>"), 3u);
  const size_t even = text.find("Pretraining, layer 1"), skewed = text.find("Pretraining, layer 2"),
               module = text.find("Pretraining, prediction module 1");
  ASSERT_TRUE(even < skewed && skewed < module && module != text.npos);
  EXPECT_EQ(CountOf(text.substr(even, skewed - even), "<path"), 0u);
  EXPECT_GT(CountOf(text.substr(skewed, module - skewed), "<path"), 0u);
  record.shape.reset();
  EXPECT_EQ(LoadSection(record), "");
}

TEST(ReportCurves, NothingMeasuredIsNothingShown) {
  EXPECT_EQ(TextCurves({}), "");
  EXPECT_EQ(ImproveCurves({}), "");
  EXPECT_EQ(LoadSection({}), "");
}

}  // namespace
}  // namespace sputnik
