#include "base/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

class ProgressTest : public testing::Test {
 protected:
  ProgressTest() : fd_(::open((folder_ / "out").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)) {}
  ~ProgressTest() override { ::close(fd_); }

  ProgressStyle Style(bool terminal) const {
    return {.fd = fd_, .terminal = terminal, .interval = 0.05, .columns = 60};
  }
  std::string Output() const { return ReadFile(folder_ / "out"); }

  TemporaryFolder folder_;
  int fd_;
};

TEST(ProgressText, ShowsStepShareTextAndTimeLeft) {
  EXPECT_EQ(ProgressText(120, 2000, "loss 3.2", 64.2), "120/2000  6%  loss 3.2  1:05 left");
  EXPECT_EQ(ProgressText(0, 10, "", -1), "0/10  0%");
  EXPECT_EQ(ProgressText(7, 0, "loss 3.2", -1), "7  loss 3.2");
  EXPECT_EQ(ProgressText(1, 2, "", 3661), "1/2  50%  1:01:01 left");
  EXPECT_EQ(ProgressText(1, 2, "", 1e30), "1/2  50%  99:59:59 left");
}

TEST(CutToColumns, NeverSplitsACharacter) {
  EXPECT_EQ(CutToColumns("abc", 5), "abc");
  EXPECT_EQ(CutToColumns("abc", 2), "ab");
  EXPECT_EQ(CutToColumns("aé→b", 3), "aé→");
  EXPECT_EQ(CutToColumns("aé→b", 2), "aé");
  EXPECT_EQ(CutToColumns("abc", 0), "");
}

TEST_F(ProgressTest, OnATerminalOneLineIsRedrawnTenTimesASecondAtMost) {
  const double start = WallSeconds();
  int64_t steps = 0;
  {
    Progress progress("train", 1'000'000'000, 0, Style(true));
    while (WallSeconds() - start < 0.35) progress.Update(++steps, "loss 1");
  }
  const double seconds = WallSeconds() - start;
  const std::string output = Output();
  const auto draws = std::count(output.begin(), output.end(), '\r');
  EXPECT_GE(draws, 3);
  EXPECT_LE(static_cast<double>(draws), seconds / 0.1 + 2) << "the first, one per tenth, and the last";
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 1);
  EXPECT_EQ(output.back(), '\n');
  EXPECT_NE(output.find("\r"
                        "train  " +
                        std::to_string(steps) + "/1000000000"),
            std::string::npos)
      << "the last step is shown";
  EXPECT_GT(steps, 20'000) << "an update that draws nothing is cheap";
}

TEST_F(ProgressTest, ElsewherePlainLinesComeAtAnInterval) {
  {
    Progress progress("train", 4, 0, Style(false));
    progress.Update(1, "a");  // shown at once
    progress.Update(2, "b");  // too early
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    progress.Update(3, "c");
    progress.Update(4, "d");  // shown at the end
  }
  const std::string output = Output();
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 3) << output;
  EXPECT_EQ(output.find('\r'), std::string::npos);
  EXPECT_EQ(output.find('\x1b'), std::string::npos);
  EXPECT_NE(output.find("train  4/4  100%  d"), std::string::npos);
  EXPECT_EQ(output.find("  b"), std::string::npos);
}

TEST_F(ProgressTest, NothingIsShownWithoutAnUpdate) {
  { Progress progress("train", 10, 0, Style(true)); }
  EXPECT_EQ(Output(), "");
}

TEST_F(ProgressTest, LongLinesAreCutAndColourIsOptional) {
  ProgressStyle style = Style(true);
  { Progress("train", 0, 0, style).Update(1, std::string(500, 'x')); }
  EXPECT_EQ(Output(), "\rtrain  1  " + std::string(49, 'x') + "\x1b[K\n");
  style.color = true;
  { Progress("train", 0, 0, style).Update(1, "x"); }
  EXPECT_NE(Output().find("\r\x1b[1mtrain\x1b[0m  1  x\x1b[K"), std::string::npos);
}

TEST_F(ProgressTest, AResumedTaskReckonsFromItsOwnSteps) {
  {
    Progress progress("train", 1000, 990, Style(false));
    progress.Update(990, "");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    progress.Update(995, "");
  }
  EXPECT_NE(Output().find("995/1000  99%  0:01 left"), std::string::npos) << Output();
}

// Steps without end, an hour of time: the hour is what is left. Few steps, an hour of time: the steps are.
TEST_F(ProgressTest, TheTimeLeftIsThatOfWhatEndsFirst) {
  {
    Progress progress("timed", 1'000'000'000, 0, Style(true));
    progress.EndsWithin(3600);
    progress.Update(0, "a");  // nothing is known of the steps yet
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.Update(1, "b");
  }
  const std::string timed = Output();
  EXPECT_NE(timed.find("a  1:00:00 left"), std::string::npos) << timed;
  EXPECT_TRUE(timed.find("b  59:") != std::string::npos || timed.find("b  1:00:00 left") != std::string::npos) << timed;
  {
    Progress progress("stepped", 2, 0, Style(true));
    progress.EndsWithin(3600);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.Update(1, "c");
  }
  EXPECT_NE(Output().find("c  0:0"), std::string::npos) << Output();
  {
    Progress progress("late", 1'000'000'000, 0, Style(true));
    progress.EndsWithin(-5);
    progress.Update(1, "d");
  }
  EXPECT_NE(Output().find("d  0:00 left"), std::string::npos) << Output();
}

TEST(ProgressStyle, FollowsTheEnvironment) {
  // Tests do not run on a terminal, so neither redrawing nor colour is chosen.
  if (::isatty(STDERR_FILENO) == 1) {
    ::setenv("NO_COLOR", "1", 1);
    EXPECT_FALSE(StderrProgressStyle().color);
    ::setenv("TERM", "dumb", 1);
    EXPECT_FALSE(StderrProgressStyle().terminal);
  } else {
    EXPECT_FALSE(StderrProgressStyle().terminal);
    EXPECT_FALSE(StderrProgressStyle().color);
  }
}

TEST(Progress, AClosedOutputIsNoReasonToStop) {
  Progress progress("train", 3, 0, {.fd = -1, .terminal = true});
  progress.Update(1, "text");
  progress.Finish();
}

}  // namespace
}  // namespace sputnik
