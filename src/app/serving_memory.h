// How much memory a model needs to compute with, before it is read: a run that cannot fit is refused with what would.
#pragma once

#include <cstdint>
#include <string>

#include "model/checkpoint.h"

namespace sputnik {

struct ServingMemory {
  int64_t mapped = 0;   // weights in pages of their files
  int64_t owned = 0;    // weights that are widened
  int64_t cache = 0;    // keys and values of the context
  int64_t work = 0;     // of one forward, and tables
  int64_t program = 0;  // the program itself
  int64_t total() const { return mapped + owned + cache + work + program; }
};

// For `context` tokens in the cache, which go through the model in chunks.
ServingMemory EstimateServingMemory(const ModelConfig& config, const WeightMemory& weights, AttentionForm form,
                                    int64_t context);

// "1.23 GB"
std::string ReadableBytes(int64_t bytes);

// One line for a person: what the model needs, and of what kind.
std::string DescribeMemory(const ServingMemory& memory, int64_t context);

// Throws Error (usage) when the model cannot be served in `available` bytes, naming the flag or the conversion that
// would fit, if one would.
void CheckServingMemory(const StoredModel& stored, AttentionForm form, int64_t context, int64_t available);

}  // namespace sputnik
