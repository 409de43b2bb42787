#include "train/expert_load.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace sputnik {
namespace {

Json Logged(const ExpertLoads& loads, bool each) {
  MetricsLine line("s", 1);
  LogLoads(loads, each, line);
  return ParseJson(line.Text(), "line");
}

TEST(ExpertLoad, TheLargestIsComparedWithTheMeanOfItsLayer) {
  // A dense layer, one in balance, one where the fullest has three times its share.
  const Json line = Logged({{}, {5, 5, 5, 5}, {9, 0, 0, 3}}, true);
  EXPECT_EQ(line["expert_load_max_over_mean"], 2.0);
  EXPECT_EQ(line["expert_loads"], Json({5, 5, 5, 5, 9, 0, 0, 3}));
  EXPECT_FALSE(Logged({{1, 1}}, false).contains("expert_loads"));
}

TEST(ExpertLoad, WithoutTokensThereIsNothingToSay) {
  for (const ExpertLoads& loads : {ExpertLoads{}, ExpertLoads{{}, {}}, ExpertLoads{{}, {0, 0}}}) {
    EXPECT_EQ(Logged(loads, true).size(), 2u);
  }
}

TEST(ExpertLoad, StepsAddUp) {
  ExpertLoads sum;
  AddLoads({{}, {1, 2}}, sum);
  AddLoads({{}, {10, 20}, {3, 4}}, sum);
  EXPECT_EQ(sum, (ExpertLoads{{}, {11, 22}, {3, 4}}));
}

}  // namespace
}  // namespace sputnik
