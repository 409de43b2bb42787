#include "model/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "tensor/safetensors.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// All tensors of a folder, over its shards.
struct StoredModel {
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::map<std::string, std::pair<const StoredTensor*, const SafetensorsFile*>> tensors;
};

std::vector<fs::path> ShardFiles(const fs::path& folder, std::map<std::string, std::string>& weight_map) {
  const fs::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(single)) return {single};
  if (!fs::exists(index)) {
    ThrowBadInput("{}: no model.safetensors and no model.safetensors.index.json; is this a model folder?",
                  folder.string());
  }
  const Json json = ReadJsonFile(index);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    ThrowBadInput("{}: no `weight_map` object", index.string());
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) ThrowBadInput("{}: the file of `{}` is not a string", index.string(), tensor);
    const auto name = file.get<std::string>();
    if (name.empty() || name != fs::path(name).filename().string() || name == "..") {
      ThrowBadInput("{}: `{}` is in \"{}\", which is not a file name in this folder", index.string(), tensor, name);
    }
    weight_map[tensor] = name;
    names.insert(name);
  }
  std::vector<fs::path> paths;
  for (const std::string& name : names) paths.push_back(folder / name);
  return paths;
}

StoredModel OpenModel(const fs::path& folder) {
  StoredModel model;
  std::map<std::string, std::string> weight_map;
  for (const fs::path& path : ShardFiles(folder, weight_map)) {
    model.files.push_back(std::make_unique<SafetensorsFile>(path));
    const SafetensorsFile& file = *model.files.back();
    for (const auto& [name, tensor] : file.tensors()) {
      if (!model.tensors.emplace(name, std::pair(&tensor, &file)).second) {
        ThrowBadInput("{}: tensor `{}` is in another shard too", path.string(), name);
      }
    }
  }
  for (const auto& [name, file] : weight_map) {
    const auto found = model.tensors.find(name);
    if (found == model.tensors.end() || found->second.second->path().filename() != file) {
      ThrowBadInput("{}: the index says tensor `{}` is in {}, but it is not; is the download complete?",
                    folder.string(), name, file);
    }
  }
  return model;
}

// Published MTP layers carry copies of the embedding and the head; they are the main model's.
bool IsMtpCopy(const std::string& name) {
  return name.ends_with(".shared_head.head.weight") ||
         (name.starts_with("model.layers.") && name.ends_with(".embed_tokens.weight"));
}

void CopyValues(const StoredTensor& from, const Tensor& to) {
  const int64_t n = to.elements();
  if (from.dtype == to.dtype()) {
    std::memcpy(to.data(), from.data.data(), from.data.size());
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    double value = 0;
    if (from.dtype == DType::kBF16) {
      uint16_t bits = 0;
      std::memcpy(&bits, from.data.data() + 2 * i, 2);
      value = static_cast<double>(FloatFromBF16(bits));
    } else {
      float number = 0;
      std::memcpy(&number, from.data.data() + 4 * i, 4);
      value = static_cast<double>(number);
    }
    if (to.dtype() == DType::kF64) {
      to.as<double>()[i] = value;
    } else {
      to.as<float>()[i] = static_cast<float>(value);
    }
  }
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

// Names, shapes and types against the config, before memory is taken for any of them.
void CheckTensors(const StoredModel& stored, const fs::path& folder, const ModelConfig& config) {
  std::set<std::string> expected;
  for (const ParamSpec& spec : ListParams(config)) {
    const std::string& name = spec.name;
    expected.insert(name);
    const auto found = stored.tensors.find(name);
    if (found == stored.tensors.end()) {
      ThrowBadInput("{}: tensor `{}` is missing; the folder does not hold the model its config.json describes",
                    folder.string(), name);
    }
    const auto& [tensor, file] = found->second;
    if (tensor->shape != spec.shape) {
      ThrowBadInput("{}: tensor `{}` has shape {}, but config.json asks for {}", file->path().string(), name,
                    ShapeText(tensor->shape), ShapeText(spec.shape));
    }
    if (tensor->dtype != DType::kF32 && tensor->dtype != DType::kBF16) {
      ThrowBadInput("{}: tensor `{}` is {}; F32 and BF16 can be loaded", file->path().string(), name,
                    NameOf(tensor->dtype));
    }
  }
  for (const auto& [name, place] : stored.tensors) {
    if (!expected.contains(name) && !IsMtpCopy(name) && !(config.tie_word_embeddings && name == "lm_head.weight")) {
      ThrowBadInput("{}: unexpected tensor `{}`: config.json does not describe it", place.second->path().string(),
                    name);
    }
  }
  const auto head = stored.tensors.find("lm_head.weight");
  if (config.tie_word_embeddings && head != stored.tensors.end()) {
    const StoredTensor& embedding = *stored.tensors.at("model.embed_tokens.weight").first;
    if (!std::ranges::equal(head->second.first->data, embedding.data)) {
      ThrowBadInput("{}: `lm_head.weight` differs from the embedding, but config.json ties them", folder.string());
    }
  }
}

void CopyWeights(const StoredModel& stored, Decoder& decoder) {
  for (const Param& param : decoder.params().list()) {
    CopyValues(*stored.tensors.at(param.spec.name).first, param.tensor);
  }
}

}  // namespace

std::unique_ptr<Decoder> LoadModel(const fs::path& folder, bool with_gradients) {
  ModelConfig config = ReadModelConfig(folder / "config.json");
  const StoredModel stored = OpenModel(folder);
  const std::string mtp_prefix = fmt::format("model.layers.{}.eh_proj", config.num_hidden_layers);
  const auto mtp = stored.tensors.lower_bound(mtp_prefix);
  if (mtp == stored.tensors.end() || !mtp->first.starts_with(mtp_prefix)) config.num_nextn_predict_layers = 0;
  CheckTensors(stored, folder, config);
  auto decoder = std::make_unique<Decoder>(config, DType::kF32, with_gradients);
  CopyWeights(stored, *decoder);
  return decoder;
}

void LoadWeights(const fs::path& folder, Decoder& decoder) {
  const StoredModel stored = OpenModel(folder);
  CheckTensors(stored, folder, decoder.config());
  CopyWeights(stored, decoder);
}

void SaveModel(const fs::path& folder, const Decoder& decoder) {
  const ModelConfig& config = decoder.config();
  CHECK(decoder.params().dtype() == DType::kF32);
  std::vector<TensorToStore> tensors;
  for (const Param& param : decoder.params().list()) {
    const auto bytes = static_cast<size_t>(param.spec.elements() * SizeOf(DType::kF32));
    tensors.push_back(
        {param.spec.name, DType::kF32, param.spec.shape, {static_cast<const std::byte*>(param.tensor.data()), bytes}});
  }
  WriteSafetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  WriteFileAtomically(folder / "config.json", WriteModelConfig(config));
  OrderedJson generation = {{"_from_model_config", true}, {"do_sample", true}, {"temperature", 1.0}};
  if (config.bos_token_id >= 0) generation["bos_token_id"] = config.bos_token_id;
  if (config.eos_token_id >= 0) generation["eos_token_id"] = config.eos_token_id;
  WriteFileAtomically(folder / "generation_config.json", generation.dump(2) + "\n");
}

}  // namespace sputnik
