// A model folder on disk: its config and its tensors, over all shards, held against each other. Nothing is loaded: all
// that is looked at are headers, so that opening is quick and takes little memory, whatever the files say.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/param.h"
#include "tensor/safetensors.h"

namespace sputnik {

class StoredModel {
 public:
  // Throws Error (bad input) naming file, tensor and reason: for an index that names other files than it may or other
  // tensors than they hold, a tensor that is missing, unexpected, of another shape than config.json asks for or of a
  // type that holds no weights, eight-bit weights without their scales, a tied head that differs. MTP modules count as
  // present only when their tensors are.
  explicit StoredModel(const std::filesystem::path& folder);
  // The same for the weights of a model that is there already.
  StoredModel(const std::filesystem::path& folder, const ModelConfig& config);

  const std::filesystem::path& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  // All tensors of all files, with copies and scales.
  const std::map<std::string, const StoredTensor*>& tensors() const { return tensors_; }
  const StoredTensor& Get(const std::string& name) const { return *tensors_.at(name); }
  const StoredTensor* ScalesOf(const std::string& name) const;  // null: none
  bool IsScale(const std::string& name) const;
  // Parameters that can be computed with where they lie: matrices of float32 or bfloat16 numbers at aligned addresses,
  // experts all or none.
  std::map<std::string, const StoredTensor*> InPlace() const;
  int64_t bytes() const;          // of all tensors
  std::string TypeNames() const;  // of the weights, as "BF16" or "BF16, F8_E4M3"

  // Gives back the memory of a tensor's pages, which will not be looked at again soon.
  void Forget(const std::string& name) const { files_[file_of_.at(name)].Forget(Get(name).data); }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  // The files, for whoever computes with them in place. Addresses of stored tensors stay good.
  std::vector<SafetensorsFile> TakeFiles() { return std::move(files_); }

 private:
  void Open();
  void CheckTensors() const;
  void CheckTensor(const ParamSpec& spec) const;
  bool IsExpected(const std::string& name) const;

  std::filesystem::path folder_;
  ModelConfig config_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const StoredTensor*> tensors_;
  std::map<std::string, size_t> file_of_;
};

}  // namespace sputnik
