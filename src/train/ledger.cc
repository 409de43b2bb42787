#include "train/ledger.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/param.h"

namespace sputnik {
namespace {

OrderedJson CostJson(const StageCost& cost, const PriceConfig& prices, double peak_flops) {
  const double kwh = cost.core_seconds * prices.watts_per_core / 3.6e6;
  OrderedJson json;
  json["trained_tokens"] = cost.trained_tokens;
  json["generated_tokens"] = cost.generated_tokens;
  json["flops"] = cost.flops;
  json["wall_seconds"] = cost.wall_seconds;
  json["core_seconds"] = cost.core_seconds;
  if (peak_flops > 0 && cost.wall_seconds > 0 && cost.flops > 0)
    json["peak_share"] = cost.flops / (cost.wall_seconds * peak_flops);
  json["energy_kwh"] = kwh;
  json["energy_cost"] = kwh * prices.price_per_kwh;
  json["core_cost"] = cost.core_seconds / 3600 * prices.price_per_core_hour;
  json["currency"] = prices.currency;
  return json;
}

}  // namespace

void PriceConfig::ListFields(Fields& f) {
  f.Add("watts_per_core", &watts_per_core, "power of one busy core, for the energy estimate").minimum = 0;
  f.Add("price_per_kwh", &price_per_kwh, "price of electricity").minimum = 0;
  f.Add("price_per_core_hour", &price_per_core_hour, "rent of a core").minimum = 0;
  f.Add("currency", &currency, "of both prices");
}

double ForwardFlopsPerToken(const ModelConfig& config, double context, bool with_mtp) {
  const ParamCounts counts = CountParams(config);
  double products = static_cast<double>(counts.active);
  const double attention = static_cast<double>(config.num_attention_heads) * context *
                           static_cast<double>(config.qk_head_dim() + config.value_dim());
  auto layers = static_cast<double>(config.num_hidden_layers);
  if (with_mtp && config.num_nextn_predict_layers > 0) {
    double mtp = static_cast<double>(counts.mtp + config.num_nextn_predict_layers * counts.head);
    if (config.n_routed_experts > 0) {
      // of a module's routed experts only top-k are used
      const double expert = 3.0 * static_cast<double>(config.hidden_size * config.moe_intermediate_size);
      mtp -= static_cast<double>(config.num_nextn_predict_layers *
                                 (config.n_routed_experts - config.num_experts_per_tok)) *
             expert;
    }
    products += mtp;
    layers += static_cast<double>(config.num_nextn_predict_layers);
  }
  return 2 * (products + layers * attention);
}

Ledger::Ledger(PriceConfig prices, double peak_flops) : prices_(std::move(prices)), peak_flops_(peak_flops) { Skip(); }

void Ledger::Skip() {
  wall_ = WallSeconds();
  core_ = ProcessorSeconds();
}

void Ledger::Book(const std::string& part) {
  const double wall = wall_, core = core_;
  Skip();
  StageCost& cost = stages_[part];
  cost.wall_seconds += wall_ - wall;
  cost.core_seconds += core_ - core;
}

void Ledger::Save(const std::filesystem::path& path, const std::string& checkpoint) const {
  OrderedJson json;
  if (!checkpoint.empty()) json["checkpoint"] = checkpoint;
  StageCost total;
  for (const auto& [name, cost] : stages_) {
    json["stages"][name] = CostJson(cost, prices_, peak_flops_);
    total.trained_tokens += cost.trained_tokens;
    total.generated_tokens += cost.generated_tokens;
    total.flops += cost.flops;
    total.wall_seconds += cost.wall_seconds;
    total.core_seconds += cost.core_seconds;
  }
  json["total"] = CostJson(total, prices_, peak_flops_);
  json["peak_flops"] = peak_flops_;
  WriteFileAtomically(path, json.dump(2) + "\n");
}

std::string Ledger::CheckpointOf(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    const Json json = ReadJsonFile(path);
    if (json.is_object() && json.contains("stages")) return json.value("checkpoint", std::string());
  } catch (const Error&) {  // not JSON
  } catch (const Json::exception&) {
  }
  return {};
}

void Ledger::Load(const std::filesystem::path& path) {
  const Json json = ReadJsonFile(path);
  if (!json.is_object() || !json.contains("stages") || !json["stages"].is_object()) return;
  try {
    for (const auto& [name, cost] : json["stages"].items()) {
      stages_[name] = {.trained_tokens = cost.value("trained_tokens", int64_t{0}),
                       .generated_tokens = cost.value("generated_tokens", int64_t{0}),
                       .flops = cost.value("flops", 0.0),
                       .wall_seconds = cost.value("wall_seconds", 0.0),
                       .core_seconds = cost.value("core_seconds", 0.0)};
    }
  } catch (const Json::exception& e) {
    ThrowBadInput("{}: not a ledger of this program: {}", path.string(), e.what());
  }
}

}  // namespace sputnik
