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

// What a run does beside its stages' own steps has parts of its own, so that all parts add up to the wall time.
inline constexpr const char* kEvaluationPart = "evaluation";  // of held-out text and problems
inline constexpr const char* kOtherPart = "other";            // tokenizer and data, loading and saving

struct StageCost {
  int64_t trained_tokens = 0, generated_tokens = 0;
  double flops = 0, wall_seconds = 0, core_seconds = 0;
};

class Ledger {
 public:
  // peak_flops: measured float32 peak of this process's cores, operations per second; 0: unknown.
  Ledger(PriceConfig prices, double peak_flops);

  StageCost& stage(const std::string& name) { return stages_[name]; }
  const std::map<std::string, StageCost>& stages() const { return stages_; }
  double peak_flops() const { return peak_flops_; }

  // Adds the time that has passed since the last Book or Skip, or since the ledger was made, to a stage or part. No
  // time is left out or counted twice.
  void Book(const std::string& part);
  void Skip();  // that time belongs to another ledger

  // `checkpoint`: the newest one, which holds all training that is booked; empty: none.
  void Save(const std::filesystem::path& path, const std::string& checkpoint = {}) const;
  void Load(const std::filesystem::path& path);  // of an earlier part of the same run
  // The checkpoint that a saved ledger names; empty: none, or there is no whole ledger.
  static std::string CheckpointOf(const std::filesystem::path& path);

 private:
  PriceConfig prices_;
  double peak_flops_;
  double wall_ = 0, core_ = 0;  // by the clocks, when time was booked last
  std::map<std::string, StageCost> stages_;
};

}  // namespace sputnik
