#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace sputnik {
namespace {

// The logger writes to file descriptor 2 through stderr, which gtest can capture.
template <class Action>
std::string Captured(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTimeLevelAndTextToStderr) {
  testing::internal::CaptureStdout();
  const std::string text = Captured([] { LogInfo("step {} of {}", 3, 10); });
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  ASSERT_EQ(text.size(), std::string("12:34:56 I step 3 of 10\n").size()) << text;
  EXPECT_EQ(text.substr(8), " I step 3 of 10\n");
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "no colours in a file";
}

TEST(Log, TextIsNotAFormat) {
  const std::string text = Captured([] {
    LogLine(LogLevel::kError, "{} %s {0}");
    LogWarning("{}", "{broken");
  });
  EXPECT_NE(text.find(" E {} %s {0}\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" W {broken\n"), std::string::npos) << text;
}

TEST(Log, LevelsBelowTheLowestAreSilent) {
  EXPECT_EQ(Captured([] { LogDebug("unseen"); }), "") << "debug is off by default";
  SetLogLevel(LogLevel::kDebug);
  EXPECT_NE(Captured([] { LogDebug("seen"); }), "");
  SetLogLevel(LogLevel::kError);
  EXPECT_EQ(Captured([] { LogWarning("unseen"); }), "");
  SetLogLevel(LogLevel::kInfo);
}

}  // namespace
}  // namespace sputnik
