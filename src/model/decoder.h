// The model: parameters and the one forward. With a tape it trains, with a cache it serves, with neither it scores.
#pragma once

#include <memory>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/mtp.h"
#include "model/param.h"
#include "model/rotary.h"
#include "op/logprob.h"
#include "op/pass.h"
#include "tensor/batch.h"

namespace sputnik {

struct ForwardOptions {
  KvCache* cache = nullptr;  // then the batch carries context and block tables
  bool recompute = false;    // keep only block inputs for the backward
  bool mtp = false;          // run the multi-token prediction modules
  double balance_weight = 0;
  std::vector<std::vector<int64_t>>* loads = nullptr;  // [layers + MTP depth][experts], added to
};

struct ForwardResult {
  Tensor hidden;                   // [N, d] after the final norm: what the head reads
  std::vector<Tensor> mtp_hidden;  // per depth, after shared_head.norm
  double balance_loss = 0;
};

class Decoder {
 public:
  // float64 runs on the reference machine only. `with_gradients` for training.
  Decoder(const ModelConfig& config, DType dtype, bool with_gradients);
  Decoder(const ModelConfig& config, Params params);  // of that config's weights

  const ModelConfig& config() const { return config_; }
  // Puts an adapter beside the weights, or takes it away (null).
  void SetAdapter(std::unique_ptr<Adapter> adapter);
  const Adapter* adapter() const { return adapter_.get(); }
  Adapter* adapter() { return adapter_.get(); }
  // What training changes: the adapter where there is one, else the weights.
  Params& trained() { return adapter_ ? adapter_->params() : params_; }

  Params& params() { return params_; }
  const Params& params() const { return params_; }
  const Tensor& head() const { return head_; }
  // Layers whose router has a bias, and their biases; MTP modules follow the main layers.
  std::vector<std::pair<int64_t, Tensor>> RouterBiases() const;

  // Token ids must be in the vocabulary and positions in [0, max positions): callers check what comes from outside.
  ForwardResult Forward(Pass& pass, const Batch& batch, const ForwardOptions& options = {}) const;

  // Log-probabilities of batch.targets where they are not -1, in batch order: rows without a target cost no head
  // product. `rows`, if given, receives which token each entry belongs to.
  LogProbs TargetLogProbs(Pass& pass, const Tensor& hidden, const std::vector<int32_t>& targets,
                          std::vector<int32_t>* rows = nullptr, double inverse_temperature = 1,
                          bool with_entropy = false) const;

 private:
  void CollectBlocks();
  ForwardContext MakeContext(Pass& pass, const Batch& batch, const ForwardOptions& options,
                             ForwardResult& result) const;

  ModelConfig config_;
  Params params_;
  std::unique_ptr<Adapter> adapter_;
  RotaryTable rotary_;
  Tensor embedding_, final_norm_, head_;
  std::vector<BlockWeights> blocks_;
  std::vector<MtpWeights> mtp_;
};

// The targets of MTP depth k: batch.targets and ids moved k places within each sequence; -1 (and weight 0) past the
// end.
struct ShiftedTargets {
  std::vector<int32_t> ahead;    // [N] id k places on, 0 past the end
  std::vector<int32_t> targets;  // [N]
  std::vector<float> weights;    // [N]
};
ShiftedTargets ShiftTargets(const Batch& batch, int64_t depth);

}  // namespace sputnik
