#include "app/serving_memory.h"

#include <algorithm>

#include "base/error.h"
#include "engine/request.h"
#include "tensor/batch.h"
#include "train/memory.h"

namespace sputnik {
namespace {

constexpr int64_t kChunk = 512;                        // tokens of one forward (engine.h, score.cc)
constexpr int64_t kLogits = int64_t{1} << 22;          // held at once (engine.cc, score.cc)
constexpr int64_t kProgram = int64_t{12} * 1'000'000;  // its code, libraries and threads' stacks, measured
constexpr int64_t kRowPages = int64_t{1} << 16;        // that the system maps around one row of an embedding
constexpr int64_t kLeastContext = 256;                 // below which nobody is helped

int64_t CacheBytes(const ModelConfig& config, AttentionForm form, int64_t context) {
  return (context + kKeyBlock - 1) / kKeyBlock * KvCache::BytesPerPage(config, form, DType::kF32);
}

std::string WhatFits(const StoredModel& stored, const WeightMemory& weights, AttentionForm form, int64_t context,
                     int64_t available) {
  const ModelConfig& config = stored.config();
  const auto fits = [&](const WeightMemory& w, AttentionForm f, int64_t c) {
    return EstimateServingMemory(config, w, f, c).total() <= available;
  };
  if (form == AttentionForm::kExpanded &&
      CacheBytes(config, AttentionForm::kAbsorbed, context) < CacheBytes(config, form, context) &&
      fits(weights, AttentionForm::kAbsorbed, context)) {
    return "--attention absorbed would fit";
  }
  int64_t most = 0;
  for (int64_t c = kLeastContext; c < context && fits(weights, form, c); c *= 2) most = c;
  if (most > 0) return fmt::format("--max-tokens {} would fit", most);
  const ParamCounts counts = CountParams(config);
  const WeightMemory half{.mapped = 2 * (counts.total + counts.mtp), .owned = 0};
  if (half.mapped < weights.mapped + weights.owned && fits(half, form, std::min(context, kLeastContext))) {
    return fmt::format("sputnik convert {} --out FOLDER --dtype bf16 makes one that fits", stored.folder().string());
  }
  return "choose a smaller model";
}

}  // namespace

ServingMemory EstimateServingMemory(const ModelConfig& config, const WeightMemory& weights, AttentionForm form,
                                    int64_t context) {
  const int64_t tokens = std::min(context, LongestSequence(config));
  return {.mapped = weights.mapped - weights.embedding + std::min(weights.embedding, tokens * kRowPages),
          .owned = weights.owned,
          .cache = CacheBytes(config, form, tokens),
          .work = EstimateForwardMemory(config, std::min(tokens, kChunk)) + kLogits,
          .program = kProgram};
}

std::string ReadableBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto number = static_cast<double>(bytes);
  size_t unit = 0;
  for (; number >= 999.5 && unit + 1 < std::size(kUnits); ++unit) number /= 1000;
  return fmt::format("{:.{}f} {}", number, unit < 2 || number >= 100 ? 0 : number >= 10 ? 1 : 2, kUnits[unit]);
}

std::string DescribeMemory(const ServingMemory& memory, int64_t context) {
  std::string weights = fmt::format("weights {}", ReadableBytes(memory.mapped + memory.owned));
  if (memory.owned > 0 && memory.mapped > 0)
    weights += fmt::format(" ({} of them widened)", ReadableBytes(memory.owned));
  return fmt::format("about {}: {}, cache {} for {} tokens, work {}", ReadableBytes(memory.total()), weights,
                     ReadableBytes(memory.cache), context, ReadableBytes(memory.work + memory.program));
}

void CheckServingMemory(const StoredModel& stored, AttentionForm form, int64_t context, int64_t available) {
  const WeightMemory weights = MemoryToLoad(stored, false);
  const ServingMemory need = EstimateServingMemory(stored.config(), weights, form, context);
  if (need.total() <= available) return;
  ThrowUsage("{}: needs {}, but {} are free; {}", stored.folder().string(), DescribeMemory(need, context),
             ReadableBytes(available), WhatFits(stored, weights, form, context, available));
}

}  // namespace sputnik
