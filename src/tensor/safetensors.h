// The safetensors format: 8 bytes of header length (little endian), a JSON header, raw little-endian row-major data.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"

namespace sputnik {

struct StoredTensor {
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;

  int64_t elements() const;
};

// A file mapped into memory. Opening checks everything the format promises before any data is looked at: header size
// (at most 100 MB), JSON without duplicate keys, known types, sizes that match shapes, offsets that cover the data once
// without holes or overlaps. Throws Error (bad input) naming file, tensor and reason.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct TensorToStore {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

// Writes atomically. Names must be unique.
void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace sputnik
