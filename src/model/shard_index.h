// model.safetensors.index.json: which file of a folder holds which tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

inline constexpr const char* kShardIndexName = "model.safetensors.index.json";

struct ShardIndex {
  std::vector<std::string> files;  // in the order of their first tensor; plain names, no paths
  std::map<std::string, size_t> file_of;
  std::optional<uint64_t> total_size;  // bytes of all tensors, if the file says so
};

// Throws Error (bad input) that starts with `source`: for text that is no index, a name that stands twice, a file that
// is not a plain name (so that nothing outside of the folder is ever opened), or more of anything than a model needs.
ShardIndex ParseShardIndex(std::string_view text, const std::string& source);

std::string WriteShardIndex(const ShardIndex& index);

}  // namespace sputnik
