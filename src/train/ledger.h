// What a run costs: tokens, floating-point operations, processor time, energy and money at the recipe's prices.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/fields.h"
#include "model/config.h"

namespace sputnik {

struct PriceConfig {
  double watts_per_core = 8, price_per_kwh = 0.25, price_per_core_hour = 0.02;
  std::string currency = "USD";

  void ListFields(Fields& fields);
};

// Floating-point operations of one token (a multiply-add counts two): matrix products with the active parameters, and
// attention over `context` keys on average. Training is three times a forward.
double ForwardFlopsPerToken(const ModelConfig& config, double context, bool with_mtp);

struct StageCost {
  int64_t trained_tokens = 0, generated_tokens = 0;
  double flops = 0, wall_seconds = 0, core_seconds = 0;
};

class Ledger {
 public:
  // peak_flops: measured float32 peak of this process's cores, operations per second; 0: unknown.
  Ledger(PriceConfig prices, double peak_flops) : prices_(std::move(prices)), peak_flops_(peak_flops) {}

  StageCost& stage(const std::string& name) { return stages_[name]; }
  const std::map<std::string, StageCost>& stages() const { return stages_; }
  double peak_flops() const { return peak_flops_; }

  void Save(const std::filesystem::path& path) const;
  void Load(const std::filesystem::path& path);  // of an earlier part of the same run

 private:
  PriceConfig prices_;
  double peak_flops_;
  std::map<std::string, StageCost> stages_;
};

}  // namespace sputnik
