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
  int64_t bytes() const { return static_cast<int64_t>(data.size()); }
};

// A file mapped into memory. Opening checks everything the format promises before any data is looked at: header size
// (at most 100 MB), JSON without duplicate keys, known types, sizes that match shapes, offsets that cover the data once
// without holes or overlaps. Throws Error (bad input) naming file, tensor and reason. Whatever a header says, opening
// takes no more memory than 32 MB and what the names of its tensors need. Links are followed, as the caches of other
// programs are made of them.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // The system may begin to read the whole file, as it will be needed soon.
  void Announce() const { file_.Announce(); }
  // These data, which belong to a tensor of this file, will not be needed again soon: their memory is given back.
  void Forget(std::span<const std::byte> data) const { file_.Forget(data); }

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

// A file that is written tensor after tensor, so that none of them need be in memory. `tensors` says what will come
// (their data are not looked at); names must be unique. Nothing is seen of it before Commit().
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  // The next data, in any pieces.
  void Write(std::span<const std::byte> data);
  void Commit();  // CHECKs that all data have come

 private:
  AtomicFileWriter file_;
  int64_t left_ = 0;
};

// Writes atomically.
void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace sputnik
