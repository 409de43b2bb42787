#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "base/random.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t columns, uint64_t seed, double spread) {
  Random random(seed, kStreamTest);
  std::vector<float> logits(columns);
  for (float& z : logits) z = static_cast<float>(spread * random.Normal());
  return logits;
}

// Probabilities in double.
std::vector<double> Softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  double total = 0;
  for (const float z : logits) total += p.emplace_back(std::exp(static_cast<double>(z) / temperature));
  for (double& x : p) x /= total;
  return p;
}

std::set<int32_t> Support(const std::vector<float>& logits, SamplingOptions options) {
  SamplerScratch scratch;
  std::set<int32_t> seen;
  for (uint64_t i = 0; i < 4000; ++i) seen.insert(SampleToken(logits, options, i, scratch));
  return seen;
}

TEST(Sampler, GreedyTakesTheLowestOfTheLikeliest) {
  SamplerScratch scratch;
  const SamplingOptions greedy{.temperature = 0};
  std::vector<float> logits(100, -1.f);
  EXPECT_EQ(SampleToken(logits, greedy, 0, scratch), 0);
  logits[71] = logits[35] = logits[99] = 2.f;
  EXPECT_EQ(SampleToken(logits, greedy, 0, scratch), 35);
  EXPECT_EQ(SampleToken(std::vector<float>{-3.f, -0.f, 0.f}, greedy, 0, scratch), 1);
}

TEST(Sampler, InvertsTheDistributionFunction) {
  SamplerScratch scratch;
  int64_t checked = 0;
  for (const size_t columns : {1u, 5u, 63u, 64u, 65u, 1000u}) {
    for (const double temperature : {1.0, 0.3, 2.5}) {
      const std::vector<float> logits = RandomLogits(columns, columns, 2);
      const std::vector<double> p = Softmax(logits, temperature);
      const SamplingOptions options{.temperature = temperature, .seed = 11};
      for (uint64_t index = 0; index < 500; ++index) {
        const double u = Random(11, kStreamSampling, index).Uniform();
        const auto chosen = static_cast<size_t>(SampleToken(logits, options, index, scratch));
        ASSERT_LT(chosen, columns);
        double below = 0;
        for (size_t i = 0; i < chosen; ++i) below += p[i];
        EXPECT_GT(u, below - 2e-6);
        EXPECT_LT(u, below + p[chosen] + 2e-6);
        ++checked;
      }
    }
  }
  EXPECT_EQ(checked, 9000);
}

TEST(Sampler, FrequenciesMatchProbabilities) {
  SamplerScratch scratch;
  const std::vector<float> logits = {0.f, 1.f, -1.f, 2.f, 0.5f, -3.f, 1.5f, 0.f, -0.5f, 1.f};
  const std::vector<double> p = Softmax(logits, 1.5);
  constexpr int kDraws = 50000;
  for (const bool by_index : {true, false}) {
    std::vector<int> counts(logits.size());
    for (uint64_t i = 0; i < kDraws; ++i) {
      const SamplingOptions options{.temperature = 1.5, .seed = by_index ? 7 : HashCombine(7, i)};
      ++counts[static_cast<size_t>(SampleToken(logits, options, by_index ? i : 3, scratch))];
    }
    double chi_square = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double expected = kDraws * p[i];
      chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_LT(chi_square, 27.88) << "1 in 1000 of nine degrees of freedom";
  }
}

TEST(Sampler, FiltersKeepExactlyTheirSupport) {
  // Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 in mixed order.
  std::vector<float> logits;
  for (const double p : {0.05, 0.3, 0.1, 0.4, 0.15}) logits.push_back(static_cast<float>(std::log(p)));
  EXPECT_EQ(Support(logits, {}), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(Support(logits, {.top_k = 1}), (std::set<int32_t>{3}));
  EXPECT_EQ(Support(logits, {.top_k = 3}), (std::set<int32_t>{1, 3, 4}));
  EXPECT_EQ(Support(logits, {.top_k = 9}), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(Support(logits, {.top_p = 0}), (std::set<int32_t>{3}));
  EXPECT_EQ(Support(logits, {.top_p = 0.39}), (std::set<int32_t>{3}));
  EXPECT_EQ(Support(logits, {.top_p = 0.41}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Support(logits, {.top_p = 0.84}), (std::set<int32_t>{1, 3, 4}));
  EXPECT_EQ(Support(logits, {.top_p = 0.94}), (std::set<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(Support(logits, {.min_p = 0.3}), (std::set<int32_t>{1, 3, 4}));
  EXPECT_EQ(Support(logits, {.min_p = 1}), (std::set<int32_t>{3}));
  // After top-k 3, what is left holds 0.47, 0.35 and 0.18 of its own mass.
  EXPECT_EQ(Support(logits, {.top_k = 3, .top_p = 0.8}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Support(logits, {.top_k = 4, .top_p = 0.9, .min_p = 0.5}), (std::set<int32_t>{1, 3}));
  // The temperature comes first: at 0.25 the likeliest holds 0.74.
  EXPECT_EQ(Support(logits, {.temperature = 0.25, .top_p = 0.7}), (std::set<int32_t>{3}));
}

TEST(Sampler, RankedTiesGoToLowerIds) {
  const std::vector<float> flat(200, 0.5f);
  EXPECT_EQ(Support(flat, {.top_k = 2}), (std::set<int32_t>{0, 1}));
  EXPECT_EQ(Support(flat, {.top_p = 0.0149}), (std::set<int32_t>{0, 1, 2}));
  const std::vector<float> zeros = {0.f, -0.f, 0.f};
  EXPECT_EQ(Support(zeros, {.top_k = 2}), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, TopPReachesFarIntoALongTail) {
  // Flat enough that the first sorted stretches do not hold the mass.
  const std::vector<float> logits = RandomLogits(5000, 3, 0.1);
  const std::vector<double> p = Softmax(logits, 1);
  std::vector<double> sorted = p;
  std::sort(sorted.rbegin(), sorted.rend());
  double mass = 0, least = 0;
  for (size_t i = 0; mass < 0.9; ++i) mass += least = sorted[i];
  SamplerScratch scratch;
  double lowest = 1;
  for (uint64_t i = 0; i < 1500; ++i) {
    const auto chosen = static_cast<size_t>(SampleToken(logits, {.top_p = 0.9}, i, scratch));
    EXPECT_GE(p[chosen], least * (1 - 1e-4));
    lowest = std::min(lowest, p[chosen]);
  }
  EXPECT_LT(lowest, least * 1.02);
}

TEST(Sampler, ImpossibleTokensAreNeverChosen) {
  std::vector<float> logits(130, -kInfinity);
  logits[77] = -2.f;
  logits[128] = -2.f;
  EXPECT_EQ(Support(logits, {}), (std::set<int32_t>{77, 128}));
  EXPECT_EQ(Support(logits, {.top_k = 50, .top_p = 0.999, .min_p = 0.001}), (std::set<int32_t>{77, 128}));
}

TEST(Sampler, BrokenLogitsAreAnError) {
  SamplerScratch scratch;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const double temperature : {0.0, 1.0}) {
    const SamplingOptions options{.temperature = temperature};
    for (const std::vector<float>& logits :
         {std::vector<float>{1, nan, 2}, {nan, nan}, {1, kInfinity}, {-kInfinity, -kInfinity}}) {
      ExpectError(ExitCode::kNumeric, [&] { SampleToken(logits, options, 0, scratch); });
    }
  }
}

TEST(Sampler, ChoicesDoNotDependOnThreadsOrRows) {
  constexpr int64_t kRows = 70, kColumns = 300;
  std::vector<float> values = RandomLogits(kRows * kColumns, 5, 3);
  const Tensor logits(values.data(), DType::kF32, {kRows, kColumns});
  std::vector<SamplingOptions> options(kRows);
  std::vector<Draw> draws(kRows);
  for (size_t i = 0; i < draws.size(); ++i) {
    options[i] = {.temperature = 0.5 * static_cast<double>(i % 4),
                  .top_k = i % 3 == 0 ? 20 : 0,
                  .top_p = i % 5 == 0 ? 0.8 : 1,
                  .seed = i};
    draws[i] = {&options[i], i % 7};
  }
  ThreadPool one(1), two(2);
  Sampler a(one), b(two);
  std::vector<int32_t> all(kRows), again(kRows);
  a.Choose(logits, draws, all.data());
  b.Choose(logits, draws, again.data());
  EXPECT_EQ(all, again);
  for (int64_t i = 0; i < kRows; ++i) {
    int32_t alone = -1;
    b.Choose(logits.Slice(0, i, 1), {&draws[static_cast<size_t>(i)], 1}, &alone);
    EXPECT_EQ(alone, all[static_cast<size_t>(i)]);
  }
}

// A choice that changes its mind changes every run that was ever recorded: these ids are for ever.
TEST(Sampler, ChoicesAreTheSameOnEveryMachine) {
  const std::vector<float> logits = RandomLogits(1024, 1, 4);
  SamplerScratch scratch;
  uint64_t hash = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    const SamplingOptions options{.temperature = 0.5 + 0.001 * static_cast<double>(i),
                                  .top_k = i % 2 == 0 ? 0 : 40,
                                  .top_p = i % 3 == 0 ? 0.9 : 1,
                                  .seed = i};
    hash = HashCombine(hash, static_cast<uint64_t>(SampleToken(logits, options, i, scratch)));
  }
  EXPECT_EQ(hash, 5981672004743678793u);
}

TEST(Sampler, TopTokensAreSortedWithTheirLogProbs) {
  SamplerScratch scratch;
  const std::vector<float> logits = {1.f, 3.f, 3.f, -kInfinity, 2.f};
  const auto top = TopTokens(logits, 3, 0.5, 1.25f, scratch);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0], std::make_pair(1, 0.25f));
  EXPECT_EQ(top[1], std::make_pair(2, 0.25f));
  EXPECT_EQ(top[2], std::make_pair(4, -0.25f));
  EXPECT_EQ(TopTokens(logits, 10, 1, 0, scratch).size(), 5u);
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](SamplingOptions o) { return ExpectError(ExitCode::kUsage, [&] { ValidateSampling(o); }); };
  EXPECT_MENTIONS(message({.temperature = -1}), "temperature");
  EXPECT_MENTIONS(message({.temperature = 1e-9}), "temperature");
  EXPECT_MENTIONS(message({.temperature = nan}), "temperature");
  EXPECT_MENTIONS(message({.top_k = -1}), "top_k");
  EXPECT_MENTIONS(message({.top_p = 1.1}), "top_p");
  EXPECT_MENTIONS(message({.top_p = nan}), "top_p");
  EXPECT_MENTIONS(message({.min_p = -0.1}), "min_p");
  ValidateSampling({});
  ValidateSampling({.temperature = 0, .top_k = 5, .top_p = 0, .min_p = 1});
}

}  // namespace
}  // namespace sputnik
