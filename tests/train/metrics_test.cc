#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/random.h"

namespace sputnik {
namespace {

TEST(MetricsLine, IsOneObjectWithKeysInOrder) {
  MetricsLine line("sft", 12);
  line.Set("loss", 0.5);
  line.Set("tokens", int64_t{1} << 60);
  line.Set("note", "a \"quoted\"\nline");
  line.Set("loads", std::vector<int64_t>{3, 0, 9});
  EXPECT_EQ(line.Text(), R"({"stage": "sft", "step": 12, "loss": 0.5, "tokens": 1152921504606846976, )"
                         R"("note": "a \"quoted\"\nline", "loads": [3,0,9]})");
}

TEST(MetricsLine, NumbersReadBackExactly) {
  Random random(1, kStreamTest);
  for (int i = 0; i < 2000; ++i) {
    const double value = std::ldexp(random.Normal(), static_cast<int>(random.Below(200)) - 100);
    MetricsLine line("s", i);
    line.Set("x", value);
    EXPECT_EQ(ParseJson(line.Text(), "line")["x"].get<double>(), value);
  }
}

TEST(MetricsLine, WhatIsNotFiniteIsNull) {
  MetricsLine line("s", 1);
  line.Set("a", std::numeric_limits<double>::quiet_NaN());
  line.Set("b", -std::numeric_limits<double>::infinity());
  const Json json = ParseJson(line.Text(), "line");
  EXPECT_TRUE(json["a"].is_null());
  EXPECT_TRUE(json["b"].is_null());
}

TEST(MetricsLine, QualityIsKeptButNotPrinted) {
  MetricsLine line("s", 1);
  EXPECT_FALSE(line.quality());
  const std::string before = line.Text();
  line.SetQuality(0.75);
  EXPECT_EQ(line.quality(), 0.75);
  EXPECT_EQ(line.Text(), before);
}

TEST(IsTimingMetric, TellsTimesFromResults) {
  for (const char* key : {"step_time", "tokens_per_second", "peak_share"}) EXPECT_TRUE(IsTimingMetric(key)) << key;
  for (const char* key : {"loss", "reward", "grad_norm", "step", "num_tokens", "train_rollout_logprob_abs_diff"}) {
    EXPECT_FALSE(IsTimingMetric(key)) << key;
  }
}

}  // namespace
}  // namespace sputnik
