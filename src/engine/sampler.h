// Choosing a token from a row of logits. A choice is a pure function of (logits, options, token index): not of batch
// mates, threads or machine. Exponentials are an own polynomial; weights are summed in one fixed order.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace sputnik {

struct SamplingOptions {
  double temperature = 1;  // 0: the likeliest token (ties: lowest id); else at least kLeastTemperature
  int64_t top_k = 0;       // keep the k likeliest; 0: all
  double top_p = 1;        // then the fewest likeliest that hold this much of what is left; 1: all
  double min_p = 0;        // then those at least this likely relative to the likeliest; 0: all
  uint64_t seed = 0;

  bool filtered() const { return temperature > 0 && (top_k > 0 || top_p < 1 || min_p > 0); }
  // What logits are multiplied by before the softmax that log-probabilities are reported of; 1 at temperature 0.
  double inverse_temperature() const { return temperature > 0 ? 1 / temperature : 1; }
};
inline constexpr double kLeastTemperature = 1e-3;

// Throws Error (usage) naming the option that is out of range.
void ValidateSampling(const SamplingOptions& options);

// Memory reused from row to row; one per thread.
struct SamplerScratch {
  std::vector<float> weights;
  std::vector<uint64_t> keys;
};

// The token at place `index` of a completion. Throws Error (numeric) when the logits are not finite numbers: the
// weights are broken. Minus infinity stands for an impossible token.
int32_t SampleToken(std::span<const float> logits, const SamplingOptions& options, uint64_t index,
                    SamplerScratch& scratch);

// The n likeliest tokens (all, if there are fewer), likeliest first, ties: lower id first. `lse` is the row's
// log-sum-exp as LogProbOfLogits gives it; log-probabilities have the bits it gives.
std::vector<std::pair<int32_t, float>> TopTokens(std::span<const float> logits, int64_t n, double inverse_temperature,
                                                 float lse, SamplerScratch& scratch);

// One row to sample.
struct Draw {
  const SamplingOptions* options = nullptr;
  uint64_t index = 0;
};

// Samples rows of logits [rows, vocabulary] (float32) on a pool.
class Sampler {
 public:
  explicit Sampler(ThreadPool& pool) : pool_(pool), scratch_(static_cast<size_t>(pool.size())) {}

  // chosen[i] from row i by draws[i].
  void Choose(const Tensor& logits, std::span<const Draw> draws, int32_t* chosen);

  SamplerScratch& scratch() { return scratch_[0]; }

 private:
  ThreadPool& pool_;
  std::vector<SamplerScratch> scratch_;  // by worker
};

}  // namespace sputnik
