// Model folders as Hugging Face has them: config.json with model.safetensors, or shards with an index.
#pragma once

#include <filesystem>
#include <memory>

#include "model/decoder.h"

namespace sputnik {

// Reads config.json and the weights (F32 or BF16) of a deepseek_v3 or deepseek_v2 folder. The MTP modules count as
// present only when their tensors are. Throws Error naming file and tensor for a missing, unexpected or wrong-shaped
// one.
std::unique_ptr<Decoder> LoadModel(const std::filesystem::path& folder, bool with_gradients);

// Copies the weights of `folder` into a model of the same shape.
void LoadWeights(const std::filesystem::path& folder, Decoder& decoder);

// Writes config.json, generation_config.json and model.safetensors (float32) into an existing folder, each atomically.
void SaveModel(const std::filesystem::path& folder, const Decoder& decoder);

}  // namespace sputnik
