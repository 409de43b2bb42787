#include "model/adapter_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "tensor/safetensors.h"
#include "tensor/widen.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";
constexpr uint64_t kMostConfigBytes = 1 << 20;

// Keys that say who made an adapter and how, or that the names of its tensors have answered already.
const std::set<std::string> kWithoutEffect = {
    "auto_mapping",    "base_model_name_or_path", "corda_config",   "ensure_weight_tying", "eva_config",
    "exclude_modules", "inference_mode",          "layers_pattern", "layers_to_transform", "loftq_config",
    "lora_dropout",    "lora_ga_config",          "megatron_core",  "peft_version",        "qalora_group_size",
    "revision",        "runtime_config",          "task_type"};
const std::set<std::string> kRead = {"peft_type",         "r",   "lora_alpha", "use_rslora", "target_modules",
                                     "init_lora_weights", "bias"};

// Null, false, or empty.
bool IsOff(const Json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  return value.is_null() || ((value.is_array() || value.is_object() || value.is_string()) && value.empty()) ||
         (value.is_string() && value.get<std::string>().empty());
}

void RefuseOptions(const Json& json, const std::string& where) {
  for (const auto& [key, value] : json.items()) {
    if (IsOff(value) || kRead.contains(key) || kWithoutEffect.contains(key)) continue;
    ThrowBadInput("{}: `{}` is {}, and this is not supported; merge the adapter into its model where it was made",
                  where, key, value.dump().substr(0, 80));
  }
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
  };
  if (text("peft_type") != "LORA") {
    ThrowBadInput("{}: `peft_type` is {}, and only \"LORA\" is supported", where,
                  json.contains("peft_type") ? json["peft_type"].dump() : "missing");
  }
  if (json.contains("bias") && !json["bias"].is_null() && text("bias") != "none") {
    ThrowBadInput("{}: `bias` is {}, and only \"none\" is supported: an adapter with biases is more than its matrices",
                  where, json["bias"].dump());
  }
  // These change the weights of the base, too.
  const std::string init = text("init_lora_weights");
  for (const char* name : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (init.starts_with(name)) {
      ThrowBadInput(
          "{}: `init_lora_weights` is \"{}\", by which the base model was changed as well; save the adapter "
          "converted to plain LoRA",
          where, init);
    }
  }
}

struct StoredConfig {
  AdapterConfig adapter;
  std::string base;
  bool complete = true;  // its targets are names, and all modules of these names must have tensors
};

StoredConfig ReadConfig(const fs::path& folder) {
  const fs::path path = folder / kConfigName;
  const std::string where = path.string();
  if (!fs::exists(path)) ThrowBadInput("{}: no {} here; is this an adapter's folder?", folder.string(), kConfigName);
  const Json json = ReadStrictJsonFile(path, kMostConfigBytes);
  if (!json.is_object()) ThrowBadInput("{}: not a JSON object", where);
  RefuseOptions(json, where);
  StoredConfig config;
  if (!json.contains("r") || !json["r"].is_number_integer() || json["r"].get<int64_t>() < 1) {
    ThrowBadInput("{}: the rank `r` must be a whole number above 0", where);
  }
  config.adapter.rank = json["r"].get<int64_t>();
  if (!json.contains("lora_alpha") || !json["lora_alpha"].is_number()) {
    ThrowBadInput("{}: `lora_alpha` must be a number", where);
  }
  config.adapter.alpha = json["lora_alpha"].get<double>();
  config.adapter.use_rslora = json.contains("use_rslora") && !IsOff(json["use_rslora"]);
  const Json targets = json.value("target_modules", Json());
  const auto set = [&](const char* key) { return json.contains(key) && !IsOff(json[key]); };
  config.complete = targets.is_array() && !set("layers_to_transform") && !set("exclude_modules");
  config.adapter.targets.clear();
  if (targets.is_array()) {
    for (const Json& target : targets) {
      if (!target.is_string()) ThrowBadInput("{}: `target_modules` holds {}, no name", where, target.dump());
      config.adapter.targets.push_back(target.get<std::string>());
    }
  }
  if (json.contains("base_model_name_or_path") && json["base_model_name_or_path"].is_string()) {
    config.base = json["base_model_name_or_path"].get<std::string>();
  }
  return config;
}

std::string ShapeText(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// The modules that have tensors, in the model's order. Each tensor must belong to one, and each have both halves.
std::vector<AdaptedModule> ModulesOf(const SafetensorsFile& file, const ModelConfig& model) {
  const std::string where = file.path().string();
  std::map<std::string, int> halves;
  for (const auto& [name, tensor] : file.tensors()) {
    const bool a = name.ends_with(kA), b = name.ends_with(kB);
    if (!name.starts_with(kPrefix) || (!a && !b)) {
      ThrowBadInput("{}: tensor `{}` is not supported; expected {}MODULE{} and …{}", where, name, kPrefix, kA, kB);
    }
    const size_t length = name.size() - kPrefix.size() - kA.size();
    halves[name.substr(kPrefix.size(), length)] += a ? 1 : 2;
  }
  if (halves.empty()) ThrowBadInput("{}: no tensors", where);
  std::vector<std::string> names;
  for (const auto& [module, found] : halves) {
    if (found != 3) {
      ThrowBadInput("{}: tensor `{}{}{}` is missing", where, kPrefix, module, found == 1 ? kB : kA);
    }
    names.push_back(module);
  }
  try {
    return FindModules(model, names);
  } catch (const Error& e) {
    ThrowBadInput("{}: the adapter is of another model: {}", where, e.what());
  }
}

void CheckTensor(const SafetensorsFile& file, const std::string& name, const std::vector<int64_t>& shape) {
  const StoredTensor& tensor = file.tensors().at(name);
  if (tensor.shape != shape) {
    ThrowBadInput("{}: tensor `{}` has shape {}, but the model and the rank ask for {}", file.path().string(), name,
                  ShapeText(tensor.shape), ShapeText(shape));
  }
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kBF16 && tensor.dtype != DType::kF16) {
    ThrowBadInput("{}: tensor `{}` is {}; F32, BF16 and F16 can be loaded", file.path().string(), name,
                  NameOf(tensor.dtype));
  }
}

void CheckComplete(const StoredConfig& config, const std::vector<AdaptedModule>& modules, const ModelConfig& model,
                   const std::string& where) {
  if (!config.complete) return;
  std::set<std::string> have;
  for (const AdaptedModule& module : modules) have.insert(module.name);
  for (const std::string& target : config.adapter.targets) {
    std::vector<AdaptedModule> named;
    try {
      named = FindModules(model, {target});
    } catch (const Error&) {
      continue;  // PEFT, too, lets a list name what a model lacks
    }
    for (const AdaptedModule& module : named) {
      if (have.contains(module.name)) continue;
      ThrowBadInput("{}: tensor `{}{}{}` is missing, but adapter_config.json targets \"{}\"", where, kPrefix,
                    module.name, kA, target);
    }
  }
}

}  // namespace

bool IsAdapterFolder(const fs::path& folder) { return fs::exists(folder / kConfigName); }

fs::path AdapterBase(const fs::path& adapter_folder) {
  const std::string base = ReadConfig(adapter_folder).base;
  if (base.empty() || !fs::exists(fs::path(base) / "config.json")) {
    ThrowBadInput(
        "{}: its base model \"{}\" (base_model_name_or_path) is no model folder here; give the model with "
        "--model and this folder with --adapter",
        (adapter_folder / kConfigName).string(), base);
  }
  return base;
}

fs::path WeightsFolder(const fs::path& folder) { return IsAdapterFolder(folder) ? AdapterBase(folder) : folder; }

std::unique_ptr<Adapter> LoadAdapter(const fs::path& folder, const ModelConfig& model, DType dtype,
                                     bool with_gradients) {
  StoredConfig config = ReadConfig(folder);
  if (!fs::exists(folder / kWeightsName)) ThrowBadInput("{}: no {} here", folder.string(), kWeightsName);
  const SafetensorsFile file(folder / kWeightsName);
  const std::vector<AdaptedModule> modules = ModulesOf(file, model);
  CheckComplete(config, modules, model, file.path().string());
  for (const AdaptedModule& module : modules) {
    CheckTensor(file, fmt::format("{}{}{}", kPrefix, module.name, kA), {config.adapter.rank, module.inputs});
    CheckTensor(file, fmt::format("{}{}{}", kPrefix, module.name, kB), {module.outputs, config.adapter.rank});
  }
  if (config.adapter.targets.empty()) {  // given as an expression, whose matches are known now
    for (const AdaptedModule& module : modules) config.adapter.targets.push_back(module.name);
  }
  auto adapter = std::make_unique<Adapter>(config.adapter, modules, dtype, with_gradients);
  adapter->SetBase(config.base);
  for (const Param& param : adapter->params().list()) {
    std::vector<float> values(static_cast<size_t>(param.spec.elements()));
    Widen(file.tensors().at(std::string(kPrefix) + param.spec.name), nullptr, 0, values);
    if (dtype == DType::kF64) {
      std::copy(values.begin(), values.end(), param.tensor.as<double>());
    } else {
      std::copy(values.begin(), values.end(), param.tensor.as<float>());
    }
  }
  return adapter;
}

void SaveAdapter(const fs::path& folder, const Adapter& adapter) {
  CHECK(adapter.params().dtype() == DType::kF32);
  std::vector<TensorToStore> tensors;
  for (const Param& param : adapter.params().list()) {
    const auto bytes = static_cast<size_t>(param.spec.elements() * SizeOf(DType::kF32));
    tensors.push_back({std::string(kPrefix) + param.spec.name,
                       DType::kF32,
                       param.spec.shape,
                       {static_cast<const std::byte*>(param.tensor.data()), bytes}});
  }
  WriteSafetensors(folder / kWeightsName, tensors, {{"format", "pt"}});
  const AdapterConfig& config = adapter.config();
  const bool whole = config.alpha == std::floor(config.alpha) && std::abs(config.alpha) < 1e9;
  // Which layers are linear depends on who is asked: routers are, for some. So names stand in the file.
  const bool all = std::find(config.targets.begin(), config.targets.end(), "all-linear") != config.targets.end();
  std::set<std::string> ends;
  for (const AdaptedModule& module : adapter.modules()) ends.insert(module.name.substr(module.name.rfind('.') + 1));
  const OrderedJson json = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", adapter.base().string()},
      {"r", config.rank},
      {"lora_alpha", whole ? OrderedJson(static_cast<int64_t>(config.alpha)) : OrderedJson(config.alpha)},
      {"lora_dropout", 0.0},
      {"use_rslora", config.use_rslora},
      {"target_modules", all ? std::vector<std::string>(ends.begin(), ends.end()) : config.targets},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"init_lora_weights", true},
      {"inference_mode", true},
      {"use_dora", false},
      {"modules_to_save", nullptr}};
  WriteFileAtomically(folder / kConfigName, json.dump(2) + "\n");
}

std::unique_ptr<Decoder> LoadAdapted(const fs::path& base, const fs::path& adapter_folder, bool with_gradients) {
  std::unique_ptr<Decoder> decoder = LoadModel(base, false);
  if (adapter_folder.empty()) return decoder;
  std::unique_ptr<Adapter> adapter = LoadAdapter(adapter_folder, decoder->config(), DType::kF32, with_gradients);
  adapter->SetBase(fs::absolute(base).lexically_normal());
  decoder->SetAdapter(std::move(adapter));
  return decoder;
}

std::unique_ptr<Decoder> LoadForward(const fs::path& folder) {
  return IsAdapterFolder(folder) ? LoadAdapted(AdapterBase(folder), folder, false) : LoadModel(folder, false);
}

}  // namespace sputnik
