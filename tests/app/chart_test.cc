#include "app/chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/markup.h"

namespace sputnik {
namespace {

Curve Waves(size_t count) {
  Curve curve;
  for (size_t i = 0; i < count; ++i)
    curve.push_back({static_cast<double>(i), 0.5 + 0.5 * std::sin(0.1 * static_cast<double>(i))});
  return curve;
}

void ExpectSound(const std::string& svg) {
  EXPECT_EQ(WrongNesting(svg), "");
  EXPECT_EQ(CountOf(svg, "<svg "), 1u);
  for (const char* wrong : {"nan", "inf", "http", "style="}) EXPECT_EQ(CountOf(svg, wrong), 0u) << wrong;
}

TEST(Chart, LinesAreLabelledAtTheirEnds) {
  const std::string svg = DrawLines(
      {.title = "a & b",
       .series = {{.label = "train <x>", .curve = Waves(50)}, {.label = "held-out", .curve = {{0, 1}, {49, 0.25}}}}});
  ExpectSound(svg);
  EXPECT_EQ(CountOf(svg, "aria-label=\"a &amp; b\""), 1u);
  EXPECT_EQ(CountOf(svg, "train &lt;x&gt; "), 1u);
  EXPECT_EQ(CountOf(svg, "held-out 0.25"), 1u);
  EXPECT_EQ(CountOf(svg, "class=\"line s0\""), 1u);
  EXPECT_EQ(CountOf(svg, "class=\"line s1\""), 1u);
}

TEST(Chart, LabelsOfLinesThatMeetStandApart) {
  std::vector<LineSeries> series;
  for (int i = 0; i < 5; ++i) series.push_back({.label = "same", .curve = {{0, 0}, {1, 1}}});
  const std::string svg = DrawLines({.title = "t", .series = series});
  std::vector<double> heights;
  for (size_t at = svg.find("class=\"name"); at != svg.npos; at = svg.find("class=\"name", at + 1)) {
    heights.push_back(std::stod(svg.substr(svg.rfind(" y=\"", at) + 4)));
  }
  ASSERT_EQ(heights.size(), 5u);
  std::sort(heights.begin(), heights.end());
  EXPECT_GE(heights.front(), 10);  // and inside of the drawing
  for (size_t i = 1; i < heights.size(); ++i) EXPECT_GE(heights[i] - heights[i - 1], 12);
}

TEST(Chart, OddDataIsDrawnAllTheSame) {
  ExpectSound(DrawLines({.title = "one point", .series = {{.label = "a", .curve = {{5, 3}}}}}));
  ExpectSound(DrawLines({.title = "flat", .series = {{.label = "a", .curve = {{0, 2}, {9, 2}}}}}));
  ExpectSound(DrawLines({.title = "zero", .series = {{.label = "a", .curve = {{0, 0}, {9, 0}}}}}));
  ExpectSound(DrawLines({.title = "huge", .series = {{.label = "a", .curve = {{0, -1e30}, {9, 1e30}}}}}));
  ExpectSound(DrawLines({.title = "tiny", .series = {{.label = "a", .curve = {{0, 1e-12}, {9, 3e-12}}}}}));
  ExpectSound(DrawRows({.title = "one point", .series = {{.label = "a", .curve = {{5, 1}}}}}));
}

TEST(Chart, AnAxisFromZeroStaysAboveIt) {
  const std::string svg =
      DrawLines({.title = "t", .series = {{.label = "reward", .curve = {{0, 0}, {9, 0}}}}, .from_zero = true});
  ExpectSound(svg);
  EXPECT_EQ(CountOf(svg, "\u22121<"), 0u);  // a tick at -1
  EXPECT_GT(CountOf(svg, ">1<"), 0u);
}

TEST(Chart, NoDataIsNoDrawing) {
  EXPECT_EQ(DrawLines({.title = "t", .series = {}}), "");
  EXPECT_EQ(DrawLines({.title = "t", .series = {{.label = "a", .curve = {}}}}), "");
  EXPECT_EQ(DrawRows({.title = "t", .series = {{.label = "a", .curve = {}}}}), "");
  EXPECT_EQ(DrawIntervals({.title = "t", .series = {"a"}, .rows = {}}), "");
  EXPECT_EQ(DrawHeat({.title = "t", .steps = {}, .columns = {}}), "");
}

TEST(Chart, LongCurvesStayShortText) {
  const std::string svg = DrawLines({.title = "t", .series = {{.label = "a", .curve = Waves(200000), .noisy = true}}});
  ExpectSound(svg);
  EXPECT_EQ(CountOf(svg, "line faint"), 1u);
  EXPECT_LT(svg.size(), 20000u);
}

TEST(Chart, AStepHoldsUntilTheNext) {
  const std::string svg =
      DrawLines({.title = "t", .series = {{.label = "level", .curve = {{0, 1}, {5, 1}, {6, 2}}, .steps = true}}});
  const size_t path = svg.find("<path d=\"M");
  ASSERT_NE(path, svg.npos);
  const std::string data = svg.substr(path, svg.find("/>", path) - path);
  EXPECT_EQ(CountOf(data, "H"), 2u);
  EXPECT_EQ(CountOf(data, "L"), 0u);
}

TEST(Chart, RowsShowTheLastValue) {
  const std::string svg = DrawRows({.title = "t",
                                    .series = {{.label = "level 1", .curve = {{0, 0}, {9, 0.875}}},
                                               {.label = "level 2", .curve = {{0, 0}, {9, 0.25}}}}});
  ExpectSound(svg);
  EXPECT_EQ(CountOf(svg, "87.5%"), 1u);
  EXPECT_EQ(CountOf(svg, "25.0%"), 1u);
  EXPECT_EQ(CountOf(svg, "class=\"area s0\""), 2u);
}

TEST(Chart, IntervalsAreHollowAndFilled) {
  const std::string svg =
      DrawIntervals({.title = "t",
                     .series = {"before", "after"},
                     .rows = {{"level 1", {{0.2, 0.1, 0.3}, {0.9, 0.85, 0.95}}}, {"level 2", {{}, {0.5, 0.4, 0.6}}}}});
  ExpectSound(svg);
  EXPECT_EQ(CountOf(svg, "class=\"ring s0\""), 2u);  // one in the key
  EXPECT_EQ(CountOf(svg, "class=\"dot s1\""), 3u);
  EXPECT_EQ(CountOf(svg, "class=\"whisker"), 3u);
}

TEST(Chart, HeatTellsMoreFromLessAndLeavesEvenBlank) {
  const std::string even = DrawHeat({.title = "t", .steps = {1, 2}, .columns = {{8, 8}, {8, 8}}});
  ExpectSound(even);
  EXPECT_EQ(CountOf(even, "<path"), 0u);
  // Of three experts one gets everything: three times an even share, and two with nothing.
  const std::string skewed = DrawHeat({.title = "t", .steps = {1, 2}, .columns = {{9, 0, 0}, {9, 0, 0}}});
  ExpectSound(skewed);
  EXPECT_EQ(CountOf(skewed, "class=\"over h3\""), 1u);
  EXPECT_EQ(CountOf(skewed, "class=\"under h4\""), 1u);
  EXPECT_EQ(CountOf(DrawHeatKey(), "<path"), 8u);
}

TEST(Chart, HeatAddsUpNeighbouringColumns) {
  HeatStrip strip{.title = "t", .steps = {}, .columns = {}};
  for (int i = 0; i < 4000; ++i) {
    strip.steps.push_back(i);
    strip.columns.push_back({i % 2 == 0 ? 16.0 : 0.0, i % 2 == 0 ? 0.0 : 16.0});  // even, two by two
  }
  EXPECT_EQ(CountOf(DrawHeat(strip, 100), "<path"), 0u);
  EXPECT_GT(CountOf(DrawHeat(strip, 4000), "<path"), 0u);
}

}  // namespace
}  // namespace sputnik
