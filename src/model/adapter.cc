#include "model/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"

namespace sputnik {
namespace {

constexpr std::string_view kWeight = ".weight", kRouter = ".mlp.gate";
constexpr const char* kAllLinear = "all-linear";

// Every linear layer of the main model's layers.
std::vector<AdaptedModule> AllModules(const ModelConfig& model) {
  std::vector<AdaptedModule> modules;
  for (const ParamSpec& spec : ListParams(model)) {
    if (spec.role != ParamRole::kMatrix || spec.mtp) continue;
    modules.push_back(
        {spec.name.substr(0, spec.name.size() - kWeight.size()), spec.shape[0], spec.shape[1], spec.routed_expert});
  }
  return modules;
}

// Notes every target that names the module; true if there is one. An adapter of many experts has as many names, so each
// end of the module's is looked up.
bool IsNamed(std::string_view module, const std::unordered_set<std::string_view>& targets,
             std::unordered_set<std::string_view>& used) {
  bool named = false;
  const auto note = [&](std::string_view name) {
    const auto found = targets.find(name);
    if (found == targets.end()) return;
    used.insert(*found);
    named = true;
  };
  if (!module.ends_with(kRouter)) note(kAllLinear);
  for (std::string_view end = module;; end.remove_prefix(end.find('.') + 1)) {
    note(end);
    if (end.find('.') == end.npos) return named;
  }
}

[[noreturn]] void ThrowUnknownTarget(const std::string& target, const std::vector<AdaptedModule>& modules) {
  std::set<std::string> ends;
  for (const AdaptedModule& module : modules) ends.insert(module.name.substr(module.name.rfind('.') + 1));
  std::vector<std::string> known(ends.begin(), ends.end());
  known.emplace_back(kAllLinear);
  const std::string nearest = NearestName(target, known);
  ThrowUsage("lora.targets: no linear layer of this model is called \"{}\"; {}there are {}", target,
             nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest), fmt::join(known, ", "));
}

// Experts of a layer are computed together.
void CheckExperts(const ModelConfig& model, const std::vector<AdaptedModule>& modules) {
  std::map<std::string, int64_t> counts;
  for (const AdaptedModule& module : modules) {
    if (!module.routed_expert) continue;
    const size_t experts = module.name.find(".experts.") + 9;
    ++counts[fmt::format("{}*{}", module.name.substr(0, experts), module.name.substr(module.name.find('.', experts)))];
  }
  for (const auto& [name, count] : counts) {
    if (count == model.n_routed_experts) continue;
    ThrowUsage("lora.targets: {} of the {} experts of {} have an adapter; it must be all or none", count,
               model.n_routed_experts, name);
  }
}

std::vector<ParamSpec> SpecsOf(const std::vector<AdaptedModule>& modules, int64_t rank) {
  std::vector<ParamSpec> specs;
  for (const AdaptedModule& module : modules) {
    specs.push_back({module.name + ".lora_A.weight", {rank, module.inputs}, ParamRole::kMatrix, module.routed_expert});
    specs.push_back({module.name + ".lora_B.weight", {module.outputs, rank}, ParamRole::kMatrix, module.routed_expert});
  }
  return specs;
}

}  // namespace

void AdapterConfig::ListFields(Fields& f) {
  Field& r = f.Add("rank", &rank, "of the matrices that are learnt beside frozen weights (LoRA); 0: learn the weights");
  r.minimum = 0;
  r.maximum = 65536;
  f.Add("alpha", &alpha, "what is learnt counts alpha / rank times");
  f.Add("use_rslora", &use_rslora, "alpha / √rank times instead");
  f.Add("targets", &targets, "ends of the names of linear layers, as q_proj, or all-linear");
}

double AdapterConfig::Scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

std::vector<AdaptedModule> FindModules(const ModelConfig& model, const std::vector<std::string>& targets) {
  const std::vector<AdaptedModule> all = AllModules(model);
  if (targets.empty()) ThrowUsage("lora.targets: names no layers; \"{}\" is all of them", kAllLinear);
  const std::unordered_set<std::string_view> wanted(targets.begin(), targets.end());
  std::unordered_set<std::string_view> used;
  std::vector<AdaptedModule> chosen;
  for (const AdaptedModule& module : all) {
    if (IsNamed(module.name, wanted, used)) chosen.push_back(module);
  }
  for (const std::string& target : targets) {
    if (!used.contains(target)) ThrowUnknownTarget(target, all);
  }
  CheckExperts(model, chosen);
  return chosen;
}

Adapter::Adapter(const AdapterConfig& config, std::vector<AdaptedModule> modules, DType dtype, bool with_gradients)
    : config_(config), modules_(std::move(modules)), params_(SpecsOf(modules_, config.rank), dtype, with_gradients) {
  CHECK(config.rank > 0);
}

std::optional<LowRank> Adapter::Find(const std::string& module) const {
  const Tensor* a = params_.Find(module + ".lora_A.weight");
  if (a == nullptr) return std::nullopt;
  return LowRank{*a, params_.Get(module + ".lora_B.weight"), config_.Scale()};
}

void Adapter::Initialise(uint64_t seed) {
  for (Param& param : params_.list()) {
    const bool zero = param.spec.name.ends_with(".lora_B.weight");
    const double bound = 1 / std::sqrt(static_cast<double>(param.spec.shape[1]));
    Random random(seed, kStreamInit, HashName(param.spec.name));
    for (int64_t i = 0; i < param.spec.elements(); ++i) {
      const double value = zero ? 0 : bound * (2 * random.Uniform() - 1);
      if (param.tensor.dtype() == DType::kF64) {
        param.tensor.as<double>()[i] = value;
      } else {
        param.tensor.as<float>()[i] = static_cast<float>(value);
      }
    }
  }
}

void AddProduct(const LowRank& w, int64_t begin, std::span<float> values) {
  const int64_t rank = w.a.size(0), columns = w.a.size(1);
  const float *a = w.a.as<float>(), *b = w.b.as<float>();
  const auto count = static_cast<int64_t>(values.size());
  std::vector<double> sum(static_cast<size_t>(std::min(columns, count)));
  for (int64_t i = 0; i < count;) {
    const int64_t row = (begin + i) / columns, column = (begin + i) % columns;
    const int64_t length = std::min(columns - column, count - i);
    std::fill_n(sum.begin(), length, 0.0);
    for (int64_t k = 0; k < rank; ++k) {
      const double left = w.scale * static_cast<double>(b[row * rank + k]);
      const float* right = a + k * columns + column;
      for (int64_t j = 0; j < length; ++j) sum[static_cast<size_t>(j)] += left * static_cast<double>(right[j]);
    }
    for (int64_t j = 0; j < length; ++j) {
      float& value = values[static_cast<size_t>(i + j)];
      value = static_cast<float>(static_cast<double>(value) + sum[static_cast<size_t>(j)]);
    }
    i += length;
  }
}

}  // namespace sputnik
