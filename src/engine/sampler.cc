#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace sputnik {
namespace {

constexpr int64_t kLanes = 16, kBlock = 64;  // weights are summed by blocks, each by lanes
constexpr float kNone = -std::numeric_limits<float>::infinity();

// exp(x) for x <= 0; zero below -87 and where x is no number. Only additions and multiplications, which round alike on
// every machine, and no branch, so that a compiler may turn the loop around it into vectors of any width. exp(0) is
// exactly 1.
inline float ExpOfNegative(float x) {
  constexpr float kLog2E = 0x1.715476p0f, kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  constexpr float kRounder = 0x1.8p23f;  // adding it leaves a whole number in the lowest bits
  const uint32_t in_range = x > -87.f ? 0xffffffffu : 0u;
  const float shifted = x * kLog2E + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;  // the bits of 2^n
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p * std::bit_cast<float>(power)) & in_range);
}

bool AnyNotANumber(std::span<const float> z) {
  uint32_t broken = 0;
  for (const float value : z) broken |= value != value ? 1u : 0u;
  return broken != 0;
}

float Largest(std::span<const float> z) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, kNone);
  size_t i = 0;
  for (; i + kLanes <= z.size(); i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lanes[l] = z[i + l] > lanes[l] ? z[i + l] : lanes[l];
  }
  float largest = kNone;
  for (const float lane : lanes) largest = std::max(largest, lane);
  for (; i < z.size(); ++i) largest = z[i] > largest ? z[i] : largest;
  return largest;
}

// weights[i] = exp(beta z[i] - its largest), then zeros up to a whole block.
void Exponentiate(std::span<const float> z, float beta, float largest, std::vector<float>& weights) {
  const size_t padded = (z.size() + kBlock - 1) / kBlock * kBlock;
  if (weights.size() < padded) weights.resize(padded);
  const float shift = beta * largest;
  float* w = weights.data();
  for (size_t i = 0; i < z.size(); ++i) w[i] = ExpOfNegative(z[i] * beta - shift);
  std::fill(w + z.size(), w + padded, 0.f);
}

float SumOfBlock(const float* w) {
  float lanes[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) lanes[l] = (w[l] + w[l + kLanes]) + (w[l + 2 * kLanes] + w[l + 3 * kLanes]);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

double Total(const float* w, size_t columns) {
  double total = 0;
  for (size_t i = 0; i < columns; i += kBlock) total += static_cast<double>(SumOfBlock(w + i));
  return total;
}

// The first id at which the sum of weights, in ascending order of ids, passes u · total. Always one with weight.
int32_t Invert(const float* w, size_t columns, double total, double u) {
  const double target = u * total;
  double below = 0;
  size_t last = 0;  // last block with weight in it: rounding may leave the target at the very end
  for (size_t i = 0; i < columns; i += kBlock) {
    const double block = static_cast<double>(SumOfBlock(w + i));
    if (block > 0) last = i;
    if (below + block > target) break;
    below += block;
  }
  size_t chosen = last;
  const size_t end = std::min(last + kBlock, columns);
  for (size_t i = last; i < end; ++i) {
    if (w[i] <= 0) continue;
    chosen = i;
    below += static_cast<double>(w[i]);
    if (below > target) break;
  }
  return static_cast<int32_t>(chosen);
}

// Orders (logit, id) by larger logit, then lower id, as one unsigned number.
uint64_t KeyOf(float z, size_t id) {
  const auto bits = std::bit_cast<uint32_t>(z + 0.f);  // minus zero equals zero
  const uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return (uint64_t{ordered} << 32) | (0xffffffffu - static_cast<uint32_t>(id));
}
size_t IdOf(uint64_t key) { return 0xffffffffu - static_cast<uint32_t>(key); }

// The keys of the k largest logits, in no order.
void CollectLargest(std::span<const float> z, size_t k, std::vector<uint64_t>& keys) {
  keys.clear();
  const size_t room = std::max<size_t>(4 * k, 256);
  const auto shrink = [&] {
    std::nth_element(keys.begin(), keys.begin() + static_cast<ptrdiff_t>(k - 1), keys.end(), std::greater<>());
    keys.resize(k);
  };
  // Ids ascend, so of equal logits a later one never displaces an earlier one.
  float least = kNone;
  for (size_t i = 0; i < z.size(); ++i) {
    if (!(z[i] > least) && keys.size() >= k) continue;
    keys.push_back(KeyOf(z[i], i));
    if (keys.size() < room) continue;
    shrink();
    least = z[IdOf(keys[k - 1])];
  }
  if (keys.size() > k) shrink();
}

// Moves the `count` largest keys to the front, sorted, given that the first `sorted` are there already.
void SortFront(std::vector<uint64_t>& keys, size_t sorted, size_t count) {
  const auto begin = keys.begin() + static_cast<ptrdiff_t>(sorted),
             middle = keys.begin() + static_cast<ptrdiff_t>(count);
  if (count < keys.size()) std::nth_element(begin, middle, keys.end(), std::greater<>());
  std::sort(begin, middle, std::greater<>());
}

// Sets the weights of tokens that come after this one in the order of keys to zero.
void KeepUpTo(std::span<const float> z, size_t last, float* w) {
  const float least = z[last];
  for (size_t i = 0; i < z.size(); ++i) {
    const uint32_t kept = z[i] > least ? 0xffffffffu : 0u;
    const uint32_t tied = z[i] == least && i <= last ? 0xffffffffu : 0u;
    w[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(w[i]) & (kept | tied));
  }
}

// The fewest likeliest tokens that hold a share `top_p` of the weights. `keys` holds the candidates if `ranked`.
void KeepMass(std::span<const float> z, double top_p, bool ranked, SamplerScratch& scratch) {
  float* w = scratch.weights.data();
  std::vector<uint64_t>& keys = scratch.keys;
  const double total = Total(w, z.size());
  if (!ranked) {
    // Tokens below this hold less than 1 - top_p together, even if all were: none of them is needed.
    const auto needless = static_cast<float>(0.999 * (1 - top_p) * total / static_cast<double>(z.size()));
    keys.clear();
    for (size_t i = 0; i < z.size(); ++i) {
      if (w[i] >= needless) keys.push_back(KeyOf(z[i], i));
    }
  }
  double mass = 0;
  size_t sorted = 0, kept = 0;
  while (kept < keys.size()) {
    if (kept == sorted) {  // few tokens hold most of the mass, so a full sort is seldom needed
      const size_t next = std::min(keys.size(), std::max<size_t>(64, 2 * sorted));
      SortFront(keys, sorted, next);
      sorted = next;
    }
    mass += static_cast<double>(w[IdOf(keys[kept])]);
    ++kept;
    if (mass >= top_p * total) break;
  }
  KeepUpTo(z, IdOf(keys[kept - 1]), w);
}

// Sets the weights of tokens that the filters leave out to zero.
void Filter(std::span<const float> z, const SamplingOptions& options, SamplerScratch& scratch) {
  const bool ranked = options.top_k > 0 && static_cast<size_t>(options.top_k) < z.size();
  if (ranked) {
    CollectLargest(z, static_cast<size_t>(options.top_k), scratch.keys);
    KeepUpTo(z, IdOf(*std::min_element(scratch.keys.begin(), scratch.keys.end())), scratch.weights.data());
  }
  if (options.top_p < 1) KeepMass(z, options.top_p, ranked, scratch);
  if (options.min_p > 0) {
    const auto least = static_cast<float>(options.min_p);  // the likeliest weighs 1
    for (size_t i = 0; i < z.size(); ++i) {
      const uint32_t kept = scratch.weights[i] >= least ? 0xffffffffu : 0u;
      scratch.weights[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(scratch.weights[i]) & kept);
    }
  }
}

[[noreturn]] void ThrowNotFinite() {
  throw Error(
      ExitCode::kNumeric,
      "the model's output is not a finite number, so no token can be chosen; the weights are broken: go back to an "
      "earlier checkpoint");
}

}  // namespace

void ValidateSampling(const SamplingOptions& o) {
  if (!(o.temperature == 0 || (o.temperature >= kLeastTemperature && o.temperature <= 1e6))) {
    ThrowUsage("temperature is {}, expected 0 (greedy) or {} to 1000000", o.temperature, kLeastTemperature);
  }
  if (o.top_k < 0) ThrowUsage("top_k is {}, expected 0 (off) or more", o.top_k);
  if (!(o.top_p >= 0 && o.top_p <= 1)) ThrowUsage("top_p is {}, expected 0 to 1", o.top_p);
  if (!(o.min_p >= 0 && o.min_p <= 1)) ThrowUsage("min_p is {}, expected 0 to 1", o.min_p);
}

int32_t SampleToken(std::span<const float> logits, const SamplingOptions& options, uint64_t index,
                    SamplerScratch& scratch) {
  const float largest = Largest(logits);
  if (!std::isfinite(largest) || AnyNotANumber(logits)) ThrowNotFinite();
  if (options.temperature == 0) {
    return static_cast<int32_t>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
  }
  Exponentiate(logits, static_cast<float>(options.inverse_temperature()), largest, scratch.weights);
  if (options.filtered()) Filter(logits, options, scratch);
  const float* w = scratch.weights.data();
  const double u = Random(options.seed, kStreamSampling, index).Uniform();
  return Invert(w, logits.size(), Total(w, logits.size()), u);
}

std::vector<std::pair<int32_t, float>> TopTokens(std::span<const float> logits, int64_t n, double inverse_temperature,
                                                 float lse, SamplerScratch& scratch) {
  const size_t count = std::min(static_cast<size_t>(n), logits.size());
  if (count == 0) return {};
  CollectLargest(logits, count, scratch.keys);
  std::sort(scratch.keys.begin(), scratch.keys.end(), std::greater<>());
  const auto beta = static_cast<float>(inverse_temperature);
  std::vector<std::pair<int32_t, float>> top;
  top.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t id = IdOf(scratch.keys[i]);
    top.emplace_back(static_cast<int32_t>(id), logits[id] * beta - lse);
  }
  return top;
}

void Sampler::Choose(const Tensor& logits, std::span<const Draw> draws, int32_t* chosen) {
  CHECK_EQ(logits.size(0), static_cast<int64_t>(draws.size()));
  const auto columns = static_cast<size_t>(logits.size(1));
  const int64_t rows = logits.size(0);
  const int64_t rows_per_task = std::max<int64_t>(1, 16384 / logits.size(1));
  pool_.ParallelFor((rows + rows_per_task - 1) / rows_per_task, [&](int64_t task, int worker) {
    const int64_t end = std::min(rows, (task + 1) * rows_per_task);
    for (int64_t row = task * rows_per_task; row < end; ++row) {
      const Draw& draw = draws[static_cast<size_t>(row)];
      chosen[row] = SampleToken({logits.as<float>() + row * logits.stride(0), columns}, *draw.options, draw.index,
                                scratch_[static_cast<size_t>(worker)]);
    }
  });
}

}  // namespace sputnik
