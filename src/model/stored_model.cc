#include "model/stored_model.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "model/shard_index.h"
#include "tensor/widen.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScaleSuffix = "_scale_inv";

// Of a folder from somewhere else a broken config.json is bad input, like its other files.
ModelConfig ReadFolderConfig(const fs::path& folder) {
  try {
    return ReadModelConfig(folder / "config.json");
  } catch (const Error& e) {
    throw Error(ExitCode::kBadInput, e.what());
  }
}

ShardIndex ReadIndex(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors", path = folder / kShardIndexName;
  if (fs::exists(single)) return {.files = {single.filename().string()}, .file_of = {}, .total_size = {}};
  if (!fs::exists(path)) {
    ThrowBadInput("{}: no model.safetensors and no {}; is this a model folder?", folder.string(), kShardIndexName);
  }
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  ShardIndex index = ParseShardIndex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
  if (index.files.empty()) ThrowBadInput("{}: `weight_map` is empty", path.string());
  return index;
}

// What published folders hold beside the parameters: copies of the embedding and the head in the MTP modules, which are
// the main model's, and tables of rotation frequencies, which follow from the config.
bool IsCopy(const std::string& name) {
  return name.ends_with(".shared_head.head.weight") ||
         (name.starts_with("model.layers.") && name.ends_with(".embed_tokens.weight")) ||
         name.ends_with(".rotary_emb.inv_freq");
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

bool IsWeightType(DType type) {
  return type == DType::kF32 || type == DType::kBF16 || type == DType::kF16 || type == DType::kF8E4M3;
}

bool CanBeUsedInPlace(const ParamSpec& spec, const StoredTensor& tensor) {
  const bool type = tensor.dtype == DType::kF32 || tensor.dtype == DType::kBF16;
  return type && spec.shape.size() == 2 &&
         reinterpret_cast<uintptr_t>(tensor.data.data()) % static_cast<uintptr_t>(SizeOf(tensor.dtype)) == 0;
}

}  // namespace

StoredModel::StoredModel(const fs::path& folder) : folder_(folder), config_(ReadFolderConfig(folder)) {
  Open();
  const std::string mtp_prefix = fmt::format("model.layers.{}.eh_proj", config_.num_hidden_layers);
  const auto mtp = tensors_.lower_bound(mtp_prefix);
  if (mtp == tensors_.end() || !mtp->first.starts_with(mtp_prefix)) config_.num_nextn_predict_layers = 0;
  const std::string copy = fmt::format("model.layers.{}.shared_head.head.weight", config_.num_hidden_layers);
  config_.mtp_copies = config_.num_nextn_predict_layers > 0 && tensors_.contains(copy);
  CheckTensors();
}

StoredModel::StoredModel(const fs::path& folder, const ModelConfig& config) : folder_(folder), config_(config) {
  Open();
  CheckTensors();
}

void StoredModel::Open() {
  const ShardIndex index = ReadIndex(folder_);
  files_.reserve(index.files.size());
  uint64_t total = 0;
  for (const std::string& name : index.files) {
    files_.emplace_back(folder_ / name);
    for (const auto& [tensor, stored] : files_.back().tensors()) {
      if (!tensors_.emplace(tensor, &stored).second) {
        ThrowBadInput("{}: tensor `{}` is in another shard too, {}", files_.back().path().string(), tensor,
                      files_[file_of_.at(tensor)].path().filename().string());
      }
      file_of_.emplace(tensor, files_.size() - 1);
      total += static_cast<uint64_t>(stored.bytes());
    }
  }
  if (index.file_of.empty()) return;  // a single file
  const std::string where = (folder_ / kShardIndexName).string();
  for (const auto& [name, file] : index.file_of) {
    const auto found = file_of_.find(name);
    if (found == file_of_.end() || found->second != file) {
      ThrowBadInput("{}: the index says tensor `{}` is in {}, but it is not; is the download complete?", where, name,
                    index.files[file]);
    }
  }
  for (const auto& [name, file] : file_of_) {
    if (!index.file_of.contains(name)) {
      ThrowBadInput("{}: unexpected tensor `{}`: the index does not list it", files_[file].path().string(), name);
    }
  }
  if (index.total_size && *index.total_size != total) {
    ThrowBadInput("{}: `total_size` is {}, but the files hold {} bytes of tensors", where, *index.total_size, total);
  }
}

void StoredModel::CheckTensor(const ParamSpec& spec) const {
  const std::string& name = spec.name;
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    ThrowBadInput("{}: tensor `{}` is missing; the folder does not hold the model its config.json describes",
                  folder_.string(), name);
  }
  const StoredTensor& tensor = *found->second;
  const std::string where = files_[file_of_.at(name)].path().string();
  if (tensor.shape != spec.shape) {
    ThrowBadInput("{}: tensor `{}` has shape {}, but config.json asks for {}", where, name, ShapeText(tensor.shape),
                  ShapeText(spec.shape));
  }
  if (!IsWeightType(tensor.dtype)) {
    ThrowBadInput("{}: tensor `{}` is {}; F32, BF16, F16 and F8_E4M3 can be loaded", where, name, NameOf(tensor.dtype));
  }
  if (tensor.dtype != DType::kF8E4M3) return;
  if (!config_.fp8) {
    ThrowBadInput(
        "{}: tensor `{}` is F8_E4M3, but config.json has no `quantization_config` that says how it was scaled", where,
        name);
  }
  const StoredTensor* scales = ScalesOf(name);
  if (spec.shape.size() != 2 || scales == nullptr) {
    ThrowBadInput("{}: tensor `{}` is F8_E4M3, but `{}{}` is missing", where, name, name, kScaleSuffix);
  }
  const auto blocks = [](int64_t size) { return (size + kScaleBlock - 1) / kScaleBlock; };
  const std::vector<int64_t> expected = {blocks(spec.shape[0]), blocks(spec.shape[1])};
  if (scales->shape != expected || scales->dtype != DType::kF32) {
    ThrowBadInput("{}: tensor `{}{}` is {} of shape {}, but the scales of [{}, {}] must be F32 of shape {}", where,
                  name, kScaleSuffix, NameOf(scales->dtype), ShapeText(scales->shape), spec.shape[0], spec.shape[1],
                  ShapeText(expected));
  }
}

void StoredModel::CheckTensors() const {
  std::set<std::string> expected;
  for (const ParamSpec& spec : ListParams(config_)) {
    CheckTensor(spec);
    expected.insert(spec.name);
  }
  for (const auto& [name, tensor] : tensors_) {
    const bool head = config_.tie_word_embeddings && name == "lm_head.weight";
    if (!expected.contains(name) && !IsCopy(name) && !IsScale(name) && !head) {
      ThrowBadInput("{}: unexpected tensor `{}`: config.json does not describe it",
                    files_[file_of_.at(name)].path().string(), name);
    }
  }
  const auto head = tensors_.find("lm_head.weight");
  if (config_.tie_word_embeddings && head != tensors_.end() &&
      !std::ranges::equal(head->second->data, Get("model.embed_tokens.weight").data)) {
    ThrowBadInput("{}: `lm_head.weight` differs from the embedding, but config.json ties them", folder_.string());
  }
}

bool StoredModel::IsScale(const std::string& name) const {
  if (!name.ends_with(kScaleSuffix)) return false;
  const auto weight = tensors_.find(name.substr(0, name.size() - kScaleSuffix.size()));
  return weight != tensors_.end() && weight->second->dtype == DType::kF8E4M3;
}

const StoredTensor* StoredModel::ScalesOf(const std::string& name) const {
  const auto found = tensors_.find(name + std::string(kScaleSuffix));
  return found == tensors_.end() ? nullptr : found->second;
}

std::map<std::string, const StoredTensor*> StoredModel::InPlace() const {
  std::map<std::string, const StoredTensor*> in_place;
  std::vector<std::string> experts;
  std::set<DType> expert_types;
  bool all_experts = true;
  for (const ParamSpec& spec : ListParams(config_)) {
    const StoredTensor& tensor = Get(spec.name);
    const bool can = CanBeUsedInPlace(spec, tensor);
    if (spec.routed_expert) {
      all_experts = all_experts && can;
      expert_types.insert(tensor.dtype);
      experts.push_back(spec.name);
    }
    if (can) in_place.emplace(spec.name, &tensor);
  }
  // Experts are the groups of one product, which takes one type.
  if (!all_experts || expert_types.size() > 1) {
    for (const std::string& name : experts) in_place.erase(name);
  }
  return in_place;
}

int64_t StoredModel::bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors_) bytes += tensor->bytes();
  return bytes;
}

std::string StoredModel::TypeNames() const {
  std::map<DType, int64_t> bytes;
  for (const auto& [name, tensor] : tensors_) {
    if (!IsScale(name)) bytes[tensor->dtype] += tensor->bytes();
  }
  std::string names;
  for (const auto& [type, count] : bytes) names += fmt::format("{}{}", names.empty() ? "" : ", ", NameOf(type));
  return names;
}

}  // namespace sputnik
