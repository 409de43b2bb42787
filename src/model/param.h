// The model's weights: one list of names, shapes and roles made from the config, and the memory behind it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/config.h"
#include "tensor/safetensors.h"
#include "tensor/tensor.h"

namespace sputnik {

enum class ParamRole : uint8_t {
  kEmbedding,
  kHead,
  kMatrix,      // hidden matrices: Muon's
  kGain,        // norm gains
  kBias,        // of linear layers
  kRouterBias,  // e_score_correction_bias: nudged by load, not by gradients
};

struct ParamSpec {
  std::string name;  // as Hugging Face's checkpoints call it
  std::vector<int64_t> shape;
  ParamRole role = ParamRole::kMatrix;
  bool routed_expert = false;
  bool mtp = false;

  int64_t elements() const;
};

// All weights in a fixed order, without allocating any: projections that read the same input are neighbours, so that
// one matrix product computes them together.
std::vector<ParamSpec> ListParams(const ModelConfig& config);

uint64_t HashName(const std::string& name);  // by which a weight's random numbers are its own

struct ParamCounts {
  int64_t total = 0, active = 0;  // of the main model; active: per token, without the input embedding
  int64_t embedding = 0, head = 0, attention = 0, dense_ffn = 0, shared_experts = 0, routed_experts = 0, router = 0,
          norms = 0, mtp = 0;  // mtp is not part of total
};
ParamCounts CountParams(const ModelConfig& config);

struct Param {
  ParamSpec spec;
  Tensor tensor;
  DType stored = DType::kF32;  // in the file it was read from
};

// Values and gradients: owned, each in one piece of memory, or values that lie in mapped files. Router biases are
// float32 whatever the type.
class Params {
 public:
  // with_gradients: tensors carry gradient slots, all zero.
  Params(const ModelConfig& config, DType dtype, bool with_gradients);
  Params(std::vector<ParamSpec> specs, DType dtype, bool with_gradients);  // of any weights
  // For a model that only computes. The weights named in `in_place` stay where they are in their mapped files, as they
  // are stored there, and cannot be written to. All others are owned, float32, zero until they are filled.
  Params(const ModelConfig& config, const std::map<std::string, const StoredTensor*>& in_place);
  void Keep(std::vector<SafetensorsFile> files) { files_ = std::move(files); }  // those that weights lie in
  Params(Params&&) = default;
  Params& operator=(Params&&) = default;

  std::vector<Param>& list() { return list_; }
  const std::vector<Param>& list() const { return list_; }
  const Tensor& Get(const std::string& name) const;   // CHECKs that it exists
  const Tensor* Find(const std::string& name) const;  // null: there is none
  // Matrices of equally many columns, one above another: those that are neighbours in memory, as they always are in
  // owned memory, become one.
  std::vector<Tensor> Join(const std::vector<std::string>& names) const;

  DType dtype() const { return dtype_; }  // of what is owned
  bool has_gradients() const { return gradients_ != nullptr; }
  Tensor Gradient(const Param& param) const;
  void ClearGradients();

  // Normal weights of standard deviation initializer_range, gains 1, biases 0: a pure function of (seed, name).
  void Initialise(const ModelConfig& config, uint64_t seed);

 private:
  size_t IndexOf(const std::string& name) const;

  DType dtype_;
  int64_t bytes_ = 0;
  std::vector<SafetensorsFile> files_;
  std::unique_ptr<std::byte[]> values_, gradients_;
  std::unique_ptr<GradientSlot[]> slots_;
  std::vector<Param> list_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace sputnik
