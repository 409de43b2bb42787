#include "base/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <thread>

namespace sputnik {
namespace {

TEST(Clock, WallTimePassesWhileSleepingAndProcessorTimeDoesNot) {
  const double wall = WallSeconds(), processor = ProcessorSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_GE(WallSeconds() - wall, 0.055);
  EXPECT_LT(ProcessorSeconds() - processor, 0.05);
}

TEST(Clock, ProcessorTimeCountsAllThreads) {
  const double start = ProcessorSeconds();
  const auto burn = [] {
    timespec spent{};
    while (spent.tv_sec == 0 && spent.tv_nsec < 50'000'000) ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  };
  std::thread first(burn), second(burn);
  first.join();
  second.join();
  EXPECT_GE(ProcessorSeconds() - start, 0.09);
}

TEST(Clock, TimestampIsUtcNow) {
  const std::string text = Timestamp();
  ASSERT_EQ(text.size(), 20u) << text;
  std::tm parsed{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parsed);
  ASSERT_NE(end, nullptr) << text;
  EXPECT_EQ(*end, 0);
  EXPECT_NEAR(static_cast<double>(::timegm(&parsed)), static_cast<double>(std::time(nullptr)), 2);
}

}  // namespace
}  // namespace sputnik
