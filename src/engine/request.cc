#include "engine/request.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "tensor/batch.h"

namespace sputnik {
namespace {

void CheckIds(const std::vector<int32_t>& ids, int64_t vocabulary, const char* what) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocabulary) continue;
    ThrowUsage("{} {} is token id {}, but the vocabulary has ids 0 to {}", what, i, ids[i], vocabulary - 1);
  }
}

}  // namespace

int64_t LongestSequence(const ModelConfig& config) {
  const bool drawn = config.position_mode == "randomised";
  return drawn ? std::min(config.max_position_embeddings, config.position_range) : config.max_position_embeddings;
}

void ValidateRequest(const Request& request, const ModelConfig& config, int64_t longest) {
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length == 0) ThrowUsage("the prompt is empty; give at least one token, such as the begin-of-text token");
  if (length > longest) {
    ThrowUsage("the prompt has {} tokens, but a sequence may have {} here (the model's context is {}); shorten it",
               length, longest, LongestSequence(config));
  }
  if (request.max_tokens < 0) ThrowUsage("max_tokens is {}, expected 0 or more", request.max_tokens);
  if (request.samples < 1 || request.samples > kMostSamples) {
    ThrowUsage("samples is {}, expected 1 to {}", request.samples, kMostSamples);
  }
  if (request.top_logprobs < 0 || request.top_logprobs > kMostTopLogprobs) {
    ThrowUsage("top_logprobs is {}, expected 0 to {}", request.top_logprobs, kMostTopLogprobs);
  }
  ValidateSampling(request.sampling);
  CheckIds(request.prompt, config.vocab_size, "prompt token");
  CheckIds(request.stop_ids, config.vocab_size, "stop id");
}

std::vector<int32_t> PositionsFor(const Request& request, const ModelConfig& config, int64_t longest) {
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (config.position_mode == "randomised") {
    const int64_t range = config.position_range;
    return DrawPositions(length + std::min(request.max_tokens, range - length), range, request.position_seed);
  }
  std::vector<int32_t> positions(static_cast<size_t>(length + std::min(request.max_tokens, longest - length)));
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

}  // namespace sputnik
