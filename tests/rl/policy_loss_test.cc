#include "rl/policy_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace sputnik {
namespace {

struct Case {
  std::vector<PolicySample> samples = {{0, 4, 0.7}, {4, 5, -0.4}, {5, 11, 0.2}, {11, 14, -0.9}};
  std::vector<float> now, old, reference;
  Case() {
    Random random(5, kStreamTest);
    for (int i = 0; i < 14; ++i) {
      old.push_back(static_cast<float>(-2 * random.Uniform()));
      now.push_back(old.back() + static_cast<float>(0.5 * random.Normal()));
      reference.push_back(old.back() + static_cast<float>(0.3 * random.Normal()));
    }
  }
};

double LossOf(const RlConfig& config, const Case& c, std::vector<float>* seeds = nullptr,
              PolicyStats* stats = nullptr) {
  std::vector<float> unused(c.now.size(), 0.f);
  PolicyStats unused_stats;
  return PolicyLoss(config, c.samples, c.now, c.old, c.reference, 14, 4, seeds != nullptr ? *seeds : unused,
                    stats != nullptr ? *stats : unused_stats);
}

// The loss written out from the papers in double, without the function's own pieces.
double LossByHand(const RlConfig& config, const Case& c, const std::vector<double>& now) {
  double loss = 0;
  for (const PolicySample& s : c.samples) {
    const auto length = static_cast<double>(s.end - s.begin);
    const double weight = config.loss_normalisation == "token" ? 1.0 / 14
                          : config.loss_normalisation == "sequence"
                              ? 1.0 / (4 * length)
                              : 1.0 / (4 * static_cast<double>(config.max_tokens));
    double mean = 0;
    for (auto i = static_cast<size_t>(s.begin); i < static_cast<size_t>(s.end); ++i) {
      mean += (now[i] - static_cast<double>(c.old[i])) / length;
    }
    for (auto i = static_cast<size_t>(s.begin); i < static_cast<size_t>(s.end); ++i) {
      const double ratio = std::exp(config.ratio == "sequence" ? mean : now[i] - static_cast<double>(c.old[i]));
      const double clipped = std::min(std::max(ratio, 1 - config.clip_low), 1 + config.clip_high);
      loss -= weight * std::min(ratio * s.advantage, clipped * s.advantage);
      const double away = static_cast<double>(c.reference[i]) - now[i];
      loss += weight * config.kl_weight * (std::exp(away) - away - 1);
    }
  }
  return loss;
}

class PolicyLossTest : public testing::TestWithParam<std::tuple<const char*, const char*, double>> {};

TEST_P(PolicyLossTest, ValueAndGradientMatchTheFormula) {
  const auto [normalisation, ratio, kl] = GetParam();
  RlConfig config;
  config.loss_normalisation = normalisation;
  config.ratio = ratio;
  config.kl_weight = kl;
  config.max_tokens = 9;
  const Case c;
  const std::vector<double> now(c.now.begin(), c.now.end());
  std::vector<float> seeds(now.size(), 0.25f);  // gradients are added to
  PolicyStats stats;
  EXPECT_NEAR(LossOf(config, c, &seeds, &stats), LossByHand(config, c, now), 1e-12);
  EXPECT_GT(stats.clipped_low + stats.clipped_high, 0) << "the case should reach both branches";
  EXPECT_EQ(stats.tokens, 14);
  for (size_t i = 0; i < now.size(); ++i) {
    std::vector<double> above = now, below = now;
    above[i] += 1e-6;
    below[i] -= 1e-6;
    const double slope = (LossByHand(config, c, above) - LossByHand(config, c, below)) / 2e-6;
    EXPECT_NEAR(static_cast<double>(seeds[i]) - 0.25, slope, 2e-7) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, PolicyLossTest,
                         testing::Combine(testing::Values("token", "sequence", "constant"),
                                          testing::Values("token", "sequence"), testing::Values(0.0, 0.3)));

TEST(PolicyLoss, OnPolicyGradientIsTheAdvantage) {
  RlConfig config;
  Case c;
  c.now = c.old;
  std::vector<float> seeds(c.now.size(), 0.f);
  PolicyStats stats;
  LossOf(config, c, &seeds, &stats);
  EXPECT_EQ(stats.max_abs_difference, 0);
  EXPECT_EQ(stats.clipped_low + stats.clipped_high, 0);
  EXPECT_FLOAT_EQ(seeds[0], -0.7f / 14);
  EXPECT_FLOAT_EQ(seeds[13], 0.9f / 14);
}

// The shares of what was clipped are over what could have been: GSPO clips whole sequences.
TEST(PolicyLoss, CountsRatiosPerTokenOrPerSequence) {
  RlConfig config;
  Case c;
  c.now = c.old;
  for (float& logprob : c.now) logprob += 1;  // every ratio is e
  PolicyStats of_tokens, of_sequences;
  LossOf(config, c, nullptr, &of_tokens);
  config.ratio = "sequence";
  LossOf(config, c, nullptr, &of_sequences);
  int64_t gaining = 0, tokens = 0;
  for (const PolicySample& sample : c.samples) {
    gaining += sample.advantage > 0;
    tokens += sample.advantage > 0 ? sample.end - sample.begin : 0;
  }
  EXPECT_GT(gaining, 0);
  EXPECT_EQ(of_tokens.ratios, of_tokens.tokens);
  EXPECT_EQ(of_tokens.clipped_high, tokens);
  EXPECT_EQ(of_sequences.ratios, static_cast<int64_t>(c.samples.size()));
  EXPECT_EQ(of_sequences.clipped_high, gaining);
}

TEST(PolicyLoss, GapIsTheLargestDifference) {
  RlConfig config;
  Case c;
  c.now = c.old;
  c.now[7] += 0.125f;
  PolicyStats stats;
  LossOf(config, c, nullptr, &stats);
  EXPECT_NEAR(stats.max_abs_difference, 0.125, 1e-6);
}

}  // namespace
}  // namespace sputnik
