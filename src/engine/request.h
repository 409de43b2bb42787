// What an engine is asked for and what it gives back: token ids, never text.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/sampler.h"
#include "model/config.h"

namespace sputnik {

struct Request {
  std::vector<int32_t> prompt = {};
  int64_t max_tokens = 256;  // 0: the prompt is only scored
  int64_t samples = 1;       // completions that share the prompt; sample i draws with HashCombine(sampling.seed, i)
  SamplingOptions sampling = {};
  std::vector<int32_t> stop_ids = {};
  uint64_t position_seed = 0;    // of randomised positions
  int64_t top_logprobs = 0;      // so many likeliest tokens are reported at each place
  bool prompt_logprobs = false;  // the prompt is scored too, and then not taken from the prefix cache
  uint64_t cache_salt = 0;       // only requests of one salt share cached prefixes
};
inline constexpr int64_t kMostSamples = 16384, kMostTopLogprobs = 1024;

enum class FinishReason {
  kStop,    // a stop id came
  kLength,  // max_tokens, the model's context or the whole cache is full
  kCancelled,
};

struct Completion {
  int64_t request = 0;
  int64_t sample = 0;
  std::vector<int32_t> tokens = {};         // including the stop id
  std::vector<float> logprobs = {};         // [tokens] of the model at the request's temperature, before any filter
  std::vector<int32_t> positions = {};      // [prompt + tokens]
  std::vector<float> prompt_logprobs = {};  // [prompt] at temperature 1, if asked for; 0 for the first
  std::vector<std::vector<std::pair<int32_t, float>>> top = {};  // [tokens][top_logprobs], likeliest first
  FinishReason reason = FinishReason::kLength;
};

// The most tokens, prompt and completion together, that a sequence of this model may have.
int64_t LongestSequence(const ModelConfig& config);

// Throws Error (usage) saying what is wrong. `longest` is the most tokens of a sequence here.
void ValidateRequest(const Request& request, const ModelConfig& config, int64_t longest);

// Positions of the prompt and of all tokens that may follow.
std::vector<int32_t> PositionsFor(const Request& request, const ModelConfig& config, int64_t longest);

}  // namespace sputnik
