// Muon and AdamW over a model's parameters, and their state.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/param.h"
#include "op/update.h"
#include "train/config.h"

namespace sputnik {

class Optimizer {
 public:
  // With "muon": hidden matrices by Muon, embedding, head and gains by AdamW; with "adamw": everything. Gains are not
  // decayed.
  Optimizer(Params& params, const OptimizerConfig& config);

  // One update with the gradients that lie in params, each multiplied by gradient_scale.
  void Step(const Machine& machine, double lr, double gradient_scale);

  // Sum of squares of all gradients. The name of the first parameter with a non-finite gradient goes into `culprit`.
  double GradientNorm(const Machine& machine, std::string* culprit) const;

  int64_t steps() const { return steps_; }
  void Reset();  // forgets all moments: a new stage

  // State as one safetensors file.
  void Save(const std::filesystem::path& path) const;
  void Load(const std::filesystem::path& path);

 private:
  struct Slot {
    Param* param;
    Tensor first, second;  // Muon uses `first` alone
    bool muon;
  };

  Params& params_;
  OptimizerConfig config_;
  int64_t steps_ = 0;
  int64_t elements_ = 0;
  std::unique_ptr<float[]> memory_;
  std::vector<Slot> slots_;
};

}  // namespace sputnik
