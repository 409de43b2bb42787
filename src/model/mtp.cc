#include "model/mtp.h"

#include "op/linear.h"
#include "op/norm.h"
#include "op/pointwise.h"

namespace sputnik {

MtpWeights CollectMtp(const ModelConfig& config, const Params& params, int64_t depth) {
  const int64_t layer = config.num_hidden_layers + depth;
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  return {params.Get(prefix + "enorm.weight"), params.Get(prefix + "hnorm.weight"),
          params.Get(prefix + "eh_proj.weight"), CollectBlock(config, params, layer, config.n_routed_experts > 0),
          params.Get(prefix + "shared_head.norm.weight")};
}

Tensor Mtp(Pass& pass, const ModelConfig& config, const MtpWeights& w, const ForwardContext& context,
           const Tensor& hidden, const Tensor& embedding, const int32_t* ahead) {
  const int64_t tokens = hidden.size(0), d = config.hidden_size;
  const Tensor joined = pass.New(hidden.dtype(), {tokens, 2 * d});
  RmsNorm(pass, Gather(pass, embedding, ahead, tokens), w.embedding_norm, config.rms_norm_eps, joined.Slice(1, 0, d));
  RmsNorm(pass, hidden, w.hidden_norm, config.rms_norm_eps, joined.Slice(1, d, d));
  return Block(pass, config, w.block, context, Linear(pass, joined, w.projection));
}

}  // namespace sputnik
