#include "app/thought_dimmer.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

const std::string kDimmed = "before \x1b[2m<think>so\n</think>\x1b[0m after";

TEST(ThoughtDimmer, DimsWhatStandsBetweenTheMarkers) {
  ThoughtDimmer dimmer;
  EXPECT_EQ(dimmer.Push("before <think>so\n</think> after") + dimmer.Finish(), kDimmed);
  EXPECT_EQ(dimmer.Push("plain") + dimmer.Finish(), "plain");
}

TEST(ThoughtDimmer, WhereverTheTextIsCut) {
  const std::string text = "before <think>so\n</think> after";
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      ThoughtDimmer dimmer;
      std::string shown = dimmer.Push(text.substr(0, first));
      shown += dimmer.Push(text.substr(first, second - first));
      shown += dimmer.Push(text.substr(second));
      EXPECT_EQ(shown + dimmer.Finish(), kDimmed) << first << " " << second;
    }
  }
}

TEST(ThoughtDimmer, HoldsBackOnlyWhatMayBecomeAMarker) {
  ThoughtDimmer dimmer;
  EXPECT_EQ(dimmer.Push("a <thi"), "a ");
  EXPECT_EQ(dimmer.Push("ng<"), "<thing");
  EXPECT_EQ(dimmer.Push("<think"), "<");
  EXPECT_EQ(dimmer.Push(">"), "\x1b[2m<think>");
  EXPECT_EQ(dimmer.Push("b"), "b");
}

TEST(ThoughtDimmer, AThoughtWithoutEndDoesNotDimWhatFollows) {
  ThoughtDimmer dimmer;
  EXPECT_EQ(dimmer.Push("<think>x</th"), "\x1b[2m<think>x");
  EXPECT_EQ(dimmer.Finish(), "</th\x1b[0m");
  EXPECT_EQ(dimmer.Push("y"), "y");
  EXPECT_EQ(dimmer.Finish(), "");
}

}  // namespace
}  // namespace sputnik
