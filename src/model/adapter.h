// LoRA (Hu et al. 2021): beside frozen matrices W a model learns W + scale · B · A, of rank r, eq. 3. Names and
// meanings are PEFT's.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fields.h"
#include "model/config.h"
#include "model/param.h"
#include "op/linear.h"

namespace sputnik {

struct AdapterConfig {
  int64_t rank = 0;  // 0: no adapter
  double alpha = 16;
  bool use_rslora = false;  // scale alpha / √rank instead of alpha / rank (Kalajdzievski 2023)
  std::vector<std::string> targets = {"all-linear"};

  void ListFields(Fields& fields);
  double Scale() const;
};

// A linear layer that can carry an adapter, by the name of its module: "model.layers.0.self_attn.q_proj".
struct AdaptedModule {
  std::string name;
  int64_t outputs = 0, inputs = 0;
  bool routed_expert = false;
};

// Those of the main model's layers that `targets` name: the ends of modules' names ("q_proj", "mlp.down_proj"), or
// "all-linear" for all but routers. In the order of ListParams. Throws Error (usage) for a target that names none, with
// the nearest that does, and for one that names some of a layer's experts only.
std::vector<AdaptedModule> FindModules(const ModelConfig& model, const std::vector<std::string>& targets);

// The matrices of one adapter: MODULE.lora_A.weight [rank, inputs] and MODULE.lora_B.weight [outputs, rank].
class Adapter {
 public:
  // All zeros. The config's targets are not looked at: the modules say where it goes.
  Adapter(const AdapterConfig& config, std::vector<AdaptedModule> modules, DType dtype, bool with_gradients);

  const AdapterConfig& config() const { return config_; }
  const std::vector<AdaptedModule>& modules() const { return modules_; }
  Params& params() { return params_; }
  const Params& params() const { return params_; }
  std::optional<LowRank> Find(const std::string& module) const;

  // As PEFT does: A uniform in ±1/√inputs (Kaiming with a = √5), B zero, so that nothing changes yet. A pure function
  // of (seed, name).
  void Initialise(uint64_t seed);

  // The folder of the model that it belongs to; written into its file.
  const std::filesystem::path& base() const { return base_; }
  void SetBase(std::filesystem::path base) { base_ = std::move(base); }

 private:
  AdapterConfig config_;
  std::vector<AdaptedModule> modules_;
  Params params_;
  std::filesystem::path base_;
};

// Adds elements begin, begin + 1, … of scale · B · A to `values`: how an adapter is merged into stored weights.
void AddProduct(const LowRank& w, int64_t begin, std::span<float> values);

}  // namespace sputnik
