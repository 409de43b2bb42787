// Weights into a folder: one model.safetensors, or several files of a chosen size with their index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "tensor/safetensors.h"

namespace sputnik {

// How far a long task is: bytes done, bytes in all.
using ByteProgress = std::function<void(int64_t, int64_t)>;

// Receives the data of a tensor, in pieces.
using DataSink = std::function<void(std::span<const std::byte>)>;

// Writes `tensors` in their order, in files of at most `most_bytes` (more only for a single tensor that is larger).
// `produce(i, sink)` gives the data of tensor i. The index comes last, each file is written atomically, and a
// model.safetensors that shards replace is removed.
void WriteShards(const std::filesystem::path& folder, std::span<const TensorToStore> tensors, int64_t most_bytes,
                 const std::function<void(size_t, const DataSink&)>& produce, const ByteProgress& progress = {});

}  // namespace sputnik
