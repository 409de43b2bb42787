#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/safetensors.h"

namespace sputnik {

Optimizer::Optimizer(Params& params, const OptimizerConfig& config) : params_(params), config_(config) {
  CHECK(params.dtype() == DType::kF32);
  for (Param& param : params.list()) {
    if (param.spec.role == ParamRole::kRouterBias) continue;
    const bool muon = config.optimizer == "muon" && param.spec.role == ParamRole::kMatrix;
    slots_.push_back({&param, {}, {}, muon});
    elements_ += param.spec.elements() * (muon ? 1 : 2);
  }
  memory_ = std::make_unique<float[]>(static_cast<size_t>(elements_));
  int64_t offset = 0;
  for (Slot& slot : slots_) {
    const int64_t n = slot.param->spec.elements();
    slot.first = Tensor(memory_.get() + offset, DType::kF32, {n});
    offset += n;
    if (slot.muon) continue;
    slot.second = Tensor(memory_.get() + offset, DType::kF32, {n});
    offset += n;
  }
}

void Optimizer::Step(const Machine& machine, double lr, double gradient_scale) {
  ++steps_;
  std::vector<MuonMatrix> matrices;
  for (const Slot& slot : slots_) {
    const Param& param = *slot.param;
    const Tensor gradient = params_.Gradient(param);
    if (slot.muon) {
      matrices.push_back(
          {param.tensor.data(), gradient.data(), slot.first.data(), param.spec.shape[0], param.spec.shape[1]});
      continue;
    }
    const int64_t n = param.spec.elements();
    const bool vector = param.spec.role == ParamRole::kGain || param.spec.role == ParamRole::kBias;
    AdamWUpdate(machine,
                {.lr = lr * (config_.optimizer == "muon" ? config_.adamw_lr_scale : 1),
                 .beta1 = config_.beta1,
                 .beta2 = config_.beta2,
                 .epsilon = config_.epsilon,
                 .weight_decay = vector ? 0 : config_.weight_decay},
                steps_, gradient_scale, param.tensor.View({n}), gradient.View({n}), slot.first, slot.second);
  }
  if (matrices.empty()) return;
  MuonUpdate(machine, {.lr = lr, .momentum = config_.momentum, .weight_decay = config_.weight_decay}, gradient_scale,
             DType::kF32, matrices);
}

double Optimizer::GradientNorm(const Machine& machine, std::string* culprit) const {
  double sum = 0;
  for (const Slot& slot : slots_) {
    const double squares = SumOfSquares(machine, params_.Gradient(*slot.param));
    if (!std::isfinite(squares) && culprit != nullptr && culprit->empty()) *culprit = slot.param->spec.name;
    sum += squares;
  }
  return std::sqrt(sum);
}

void Optimizer::Reset() {
  steps_ = 0;
  std::fill_n(memory_.get(), elements_, 0.f);
}

void Optimizer::Save(const std::filesystem::path& path) const {
  std::vector<TensorToStore> tensors;
  const auto add = [&](const std::string& name, const Tensor& t) {
    tensors.push_back(
        {name,
         DType::kF32,
         {t.elements()},
         {static_cast<const std::byte*>(t.data()), static_cast<size_t>(t.elements() * SizeOf(t.dtype()))}});
  };
  for (const Slot& slot : slots_) {
    add(slot.param->spec.name + (slot.muon ? ".momentum" : ".first"), slot.first);
    if (!slot.muon) add(slot.param->spec.name + ".second", slot.second);
  }
  WriteSafetensors(path, tensors, {{"steps", std::to_string(steps_)}});
}

void Optimizer::Load(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto read = [&](const std::string& name, const Tensor& to) {
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end() || found->second.dtype != DType::kF32 ||
        found->second.elements() != to.elements()) {
      ThrowBadInput("{}: `{}` is missing or has another size; was the run started with another model or optimizer?",
                    path.string(), name);
    }
    std::memcpy(to.data(), found->second.data.data(), found->second.data.size());
  };
  for (const Slot& slot : slots_) {
    read(slot.param->spec.name + (slot.muon ? ".momentum" : ".first"), slot.first);
    if (!slot.muon) read(slot.param->spec.name + ".second", slot.second);
  }
  const auto steps = file.metadata().find("steps");
  if (steps == file.metadata().end() || steps->second.empty() || steps->second.size() > 18 ||
      steps->second.find_first_not_of("0123456789") != std::string::npos) {
    ThrowBadInput("{}: no step count in __metadata__", path.string());
  }
  steps_ = std::stoll(steps->second);
}

}  // namespace sputnik
