#include "rl/curriculum.h"

#include <gtest/gtest.h>

#include <map>

namespace sputnik {
namespace {

RlConfig Config() {
  RlConfig config;
  config.start_level = 6;
  config.max_level = 8;
  config.advance_reward = 0.9;
  config.advance_steps = 2;
  config.replay = 0.5;
  config.replay_from = 3;
  return config;
}

TEST(Curriculum, MovesOnAfterSolvedRoundsInARowOnly) {
  const RlConfig config = Config();
  Curriculum curriculum(config, {});
  EXPECT_FALSE(curriculum.Note(0.95));
  EXPECT_FALSE(curriculum.Note(0.89));  // starts again
  EXPECT_FALSE(curriculum.Note(0.9));
  EXPECT_TRUE(curriculum.Note(0.9));
  EXPECT_EQ(curriculum.level(), 7);
}

TEST(Curriculum, StopsAtTheLastLevel) {
  const RlConfig config = Config();
  Curriculum curriculum(config, {});
  for (int i = 0; i < 20; ++i) curriculum.Note(1);
  EXPECT_EQ(curriculum.level(), 8);
}

TEST(Curriculum, ReplayDrawsEarlierLevelsAtItsShare) {
  const RlConfig config = Config();
  const Curriculum curriculum(config, {});
  std::map<int64_t, int> counts;
  for (int i = 0; i < 4000; ++i) ++counts[curriculum.LevelOf(1, 3, i)];
  EXPECT_EQ(counts.begin()->first, 3);
  EXPECT_EQ(counts.rbegin()->first, 6);
  EXPECT_NEAR(counts[6], 2000, 150);
  for (int level = 3; level < 6; ++level) EXPECT_NEAR(counts[level], 667, 120) << level;
}

TEST(Curriculum, ResumesWhereItStood) {
  const RlConfig config = Config();
  Curriculum curriculum(config, {});
  curriculum.Note(1);
  curriculum.Note(1);
  curriculum.Note(1);
  RunState state;
  curriculum.Store(state);
  Curriculum again(config, state);
  EXPECT_EQ(again.level(), 7);
  EXPECT_TRUE(again.Note(1)) << "one solved round was already counted";
  EXPECT_EQ(again.LevelOf(9, 2, 5), Curriculum(config,
                                               [&] {
                                                 RunState s;
                                                 again.Store(s);
                                                 return s;
                                               }())
                                        .LevelOf(9, 2, 5));
}

}  // namespace
}  // namespace sputnik
