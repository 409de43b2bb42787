// Model folders as Hugging Face has them: config.json with model.safetensors, or shards with an index.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "model/decoder.h"
#include "model/shard_writer.h"
#include "model/stored_model.h"

namespace sputnik {

// What the weights of a loaded model take: pages of the files, which other processes share and the system can drop, and
// memory of our own. Of an embedding that is no head only the rows of tokens that occur are ever looked at.
struct WeightMemory {
  int64_t mapped = 0, owned = 0;
  int64_t embedding = 0;  // part of `mapped`: such an embedding
};
WeightMemory MemoryToLoad(const StoredModel& stored, bool with_gradients);

// Reads a model. With gradients all weights are owned float32 masters. Without, matrices of float32 and bfloat16 are
// used where they are mapped and cannot be written to; all else (gains, float16, eight bits with scales) is widened
// into memory of our own. Either way every number is exactly the stored one. Throws Error as StoredModel does.
std::unique_ptr<Decoder> LoadModel(StoredModel stored, bool with_gradients, const ByteProgress& progress = {});
std::unique_ptr<Decoder> LoadModel(const std::filesystem::path& folder, bool with_gradients);

// Copies the weights of `folder` into a model of the same shape, which owns its weights.
void LoadWeights(const std::filesystem::path& folder, Decoder& decoder);

struct SaveOptions {
  DType dtype = DType::kF32;                    // or BF16; router biases stay float32 where bfloat16 does not hold them
  int64_t most_bytes = int64_t{5'000'000'000};  // of one file
};

// Writes config.json, generation_config.json and the weights into an existing folder, each file atomically. Of a model
// that was read, config.json keeps every key of the one it was read with.
void SaveModel(const std::filesystem::path& folder, const Decoder& decoder, const SaveOptions& options = {});

// Writes config.json and all tensors of a stored model, MTP modules included, into an existing folder. Without a dtype
// each tensor keeps its own and its bytes, except that eight-bit weights become BF16. Tensors pass through one by one.
// An adapter of that model, if given, is merged: what it adds is summed in double, then rounded to the tensor's type.
void ConvertModel(const StoredModel& stored, const std::filesystem::path& folder, std::optional<DType> dtype,
                  int64_t most_bytes, const ByteProgress& progress = {}, const Adapter* adapter = nullptr);

}  // namespace sputnik
