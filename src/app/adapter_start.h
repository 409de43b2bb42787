// How a stage that learns an adapter (LoRA) begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "app/recipe.h"
#include "model/decoder.h"

namespace sputnik {

// The model of `start` with an adapter that learns. `start` is a model's folder, which becomes the frozen base of a new
// adapter or of the one that config.from names; or an adapter's folder, which goes on. Says on the log what will learn
// and what memory it needs. Throws Error (usage) for targets that the model lacks, a rank that is not the adapter's,
// two adapters, and for what does not fit into memory.
std::unique_ptr<Decoder> StartAdapter(const LoraConfig& config, const std::filesystem::path& start,
                                      const TrainConfig& train, uint64_t seed);

}  // namespace sputnik
