// How kernel tests compare machines: the same inputs on the reference in double (the truth), the reference in float
// (the definition) and the cpu machine on every SIMD target with FMA, with one to three threads.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernel/backend.h"

namespace sputnik::testing {

// A small generator, so that inputs are the same everywhere. Values are floats, so both number types see the same.
class Values {
 public:
  explicit Values(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>((Next() >> 11) % static_cast<uint64_t>(n)); }
  float Uniform(float low, float high) { return low + (high - low) * static_cast<float>(Next() >> 40) * 0x1p-24f; }
  template <class T>
  std::vector<T> Array(int64_t n, float low = -1, float high = 1) {
    std::vector<T> values(static_cast<size_t>(n));
    for (T& value : values) value = static_cast<T>(Uniform(low, high));
    return values;
  }

 private:
  uint64_t state_;
};

// Collects what a kernel wrote, output after output.
template <class T>
struct Outputs {
  std::vector<T> values;
  void Take(const std::vector<T>& more) { values.insert(values.end(), more.begin(), more.end()); }
};

inline ::testing::AssertionResult SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " values against " << b.size();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i])) continue;
    return ::testing::AssertionFailure() << "value " << i << " of " << a.size() << ": " << a[i] << " against " << b[i];
  }
  return ::testing::AssertionSuccess();
}

// Targets that promise the reference's bits.
inline std::vector<std::string> ExactTargets() {
  std::vector<std::string> targets;
  for (const std::string& target : SimdTargets()) {
    if (target != "SSE4" && target != "SSSE3") targets.push_back(target);
  }
  return targets;
}

// f() under each exact target and each of 1 … 3 threads.
template <class F>
void OnEveryCpuMachine(F&& f) {
  for (const std::string& target : ExactTargets()) {
    UseSimdTarget(target);
    for (int threads = 1; threads <= 3; ++threads) {
      SCOPED_TRACE(target + ", " + std::to_string(threads) + " threads");
      ThreadPool pool(threads);
      f(KernelsFor("cpu"), pool);
    }
  }
  UseSimdTarget("");
}

// run(number, kernels, pool) returns all outputs of a call as a vector of the number's type. Float must be within
// `tolerance` of double relative to the largest magnitude of the output, and cpu equal to float bit for bit.
template <class Run>
void ExpectMachinesAgree(double tolerance, Run&& run) {
  ThreadPool one(1);
  const Kernels& reference = KernelsFor("reference");
  const std::vector<float> expected = run(float{}, reference, one);
  const std::vector<double> truth = run(double{}, reference, one);
  ASSERT_EQ(expected.size(), truth.size());
  double largest = 0, error = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    ASSERT_TRUE(std::isfinite(truth[i])) << "at " << i;
    largest = std::max(largest, std::abs(truth[i]));
    error = std::max(error, std::abs(truth[i] - static_cast<double>(expected[i])));
  }
  EXPECT_LE(error, tolerance * largest);
  OnEveryCpuMachine(
      [&](const Kernels& cpu, ThreadPool& pool) { EXPECT_TRUE(SameBits(run(float{}, cpu, pool), expected)); });
}

constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of 1

// Checks `gradient`[i] against the central difference of loss() in values[i], for `samples` places.
template <class Loss>
void ExpectGradient(std::vector<double>& values, const std::vector<double>& gradient, Loss&& loss, Values& choose,
                    int samples = 12) {
  ASSERT_EQ(values.size(), gradient.size());
  double scale = 0;
  for (double g : gradient) scale = std::max(scale, std::abs(g));
  ASSERT_GT(scale, 0);
  for (int sample = 0; sample < samples; ++sample) {
    const size_t i = static_cast<size_t>(choose.Below(static_cast<int64_t>(values.size())));
    const double old = values[i], step = 1e-5;
    values[i] = old + step;
    const double up = loss();
    values[i] = old - step;
    const double down = loss();
    values[i] = old;
    EXPECT_NEAR(gradient[i], (up - down) / (2 * step), 1e-6 * scale) << "element " << i;
  }
}

}  // namespace sputnik::testing
