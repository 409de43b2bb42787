#include "model/decoder.h"

#include <algorithm>

#include "op/norm.h"
#include "op/pointwise.h"

namespace sputnik {
namespace {

template <class T>
const T* CopyToArena(Arena& arena, const std::vector<T>& values) {
  T* copy = arena.New<T>(static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), copy);
  return copy;
}

}  // namespace

Decoder::Decoder(const ModelConfig& config, DType dtype, bool with_gradients)
    : Decoder(config, Params(config, dtype, with_gradients)) {}

Decoder::Decoder(const ModelConfig& config, Params params)
    : config_(config), params_(std::move(params)), rotary_(config, params_.dtype()) {
  embedding_ = params_.Get("model.embed_tokens.weight");
  final_norm_ = params_.Get("model.norm.weight");
  head_ = config.tie_word_embeddings ? embedding_ : params_.Get("lm_head.weight");
  CollectBlocks();
  for (int64_t depth = 0; depth < config.num_nextn_predict_layers; ++depth) {
    mtp_.push_back(CollectMtp(config, params_, depth));
  }
}

void Decoder::CollectBlocks() {
  blocks_.clear();
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    blocks_.push_back(CollectBlock(config_, params_, layer, config_.HasMoe(layer), adapter_.get()));
  }
}

void Decoder::SetAdapter(std::unique_ptr<Adapter> adapter) {
  adapter_ = std::move(adapter);
  CollectBlocks();
}

std::vector<std::pair<int64_t, Tensor>> Decoder::RouterBiases() const {
  std::vector<std::pair<int64_t, Tensor>> biases;
  const auto add = [&](const BlockWeights& block) {
    if (block.has_moe && block.moe.bias.defined()) biases.emplace_back(block.layer, block.moe.bias);
  };
  for (const BlockWeights& block : blocks_) add(block);
  for (const MtpWeights& mtp : mtp_) add(mtp.block);
  return biases;
}

ForwardContext Decoder::MakeContext(Pass& pass, const Batch& batch, const ForwardOptions& options,
                                    ForwardResult& result) const {
  Arena& arena = pass.arena;
  const int64_t sequences = batch.sequences();
  CHECK_EQ(batch.positions.size(), batch.ids.size());
  CHECK_EQ(batch.sequence_start.back(), batch.tokens());
  ForwardContext context;
  if (config_.position_mode != "none") {
    context.positions = CopyToArena(arena, batch.positions);
    context.rotary = rotary_.Covering(batch.positions);
  }
  const int32_t* start = CopyToArena(arena, batch.sequence_start);
  context.sequence_start = {start, static_cast<size_t>(sequences) + 1};
  context.balance_weight = options.balance_weight;
  context.loads = options.loads;
  context.balance_loss = &result.balance_loss;
  if (context.loads != nullptr) {
    context.loads->resize(static_cast<size_t>(config_.num_hidden_layers + config_.num_nextn_predict_layers));
  }
  auto* key_count = arena.New<int32_t>(sequences);
  context.layout = {.sequences = sequences, .query_start = start, .key_count = key_count};
  const bool cached = options.cache != nullptr;
  for (int64_t s = 0; s < sequences; ++s) {
    key_count[s] = start[s + 1] - start[s] + (cached ? batch.context[static_cast<size_t>(s)] : 0);
  }
  if (!cached) {
    context.layout.key_start = start;
    return context;
  }
  CHECK_EQ(static_cast<int64_t>(batch.context.size()), sequences);
  context.cache = options.cache;
  context.layout.block_table = CopyToArena(arena, batch.block_table);
  context.layout.block_start = CopyToArena(arena, batch.block_start);
  auto* rows = arena.New<int32_t>(batch.tokens());
  for (int64_t s = 0; s < sequences; ++s) {
    for (int32_t i = start[s]; i < start[s + 1]; ++i) {
      const int32_t place = batch.context[static_cast<size_t>(s)] + i - start[s];
      const int32_t block = context.layout.block_start[s] + place / static_cast<int32_t>(kKeyBlock);
      CHECK_LT(block, context.layout.block_start[s + 1]);
      rows[i] =
          context.layout.block_table[block] * static_cast<int32_t>(kKeyBlock) + place % static_cast<int32_t>(kKeyBlock);
    }
  }
  context.cache_rows = rows;
  return context;
}

ForwardResult Decoder::Forward(Pass& pass, const Batch& batch, const ForwardOptions& options) const {
  ForwardResult result;
  const ForwardContext context = MakeContext(pass, batch, options, result);
  Tensor x = Gather(pass, embedding_, CopyToArena(pass.arena, batch.ids), batch.tokens());
  for (const BlockWeights& block : blocks_) {
    if (options.recompute && pass.recording()) {
      // A recorded block runs again long after this frame is gone, so it keeps a copy of the context.
      auto* kept = new (pass.arena.New<ForwardContext>(1)) ForwardContext(context);
      x = pass.Recompute(x, [config = &config_, weights = &block, kept](Pass& p, const Tensor& input) {
        return Block(p, *config, *weights, *kept, input);
      });
    } else if (pass.recording()) {
      x = Block(pass, config_, block, context, x);
    } else {
      // Nothing of a block is needed after it but its output, which takes the place of its input.
      const ArenaScope scope(pass.arena);
      const int64_t d = config_.hidden_size;
      CopyHeads(pass, Block(pass, config_, block, context, x).SplitLast(1, d), x.SplitLast(1, d));
    }
  }
  result.hidden = RmsNorm(pass, x, final_norm_, config_.rms_norm_eps);
  if (!options.mtp) return result;
  for (size_t depth = 0; depth < mtp_.size(); ++depth) {
    const ShiftedTargets shifted = ShiftTargets(batch, static_cast<int64_t>(depth) + 1);
    x = Mtp(pass, config_, mtp_[depth], context, x, embedding_, CopyToArena(pass.arena, shifted.ahead));
    result.mtp_hidden.push_back(RmsNorm(pass, x, mtp_[depth].head_norm, config_.rms_norm_eps));
  }
  return result;
}

LogProbs Decoder::TargetLogProbs(Pass& pass, const Tensor& hidden, const std::vector<int32_t>& targets,
                                 std::vector<int32_t>* rows, double inverse_temperature, bool with_entropy) const {
  CHECK_EQ(static_cast<int64_t>(targets.size()), hidden.size(0));
  std::vector<int32_t> wanted, wanted_targets;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0) continue;
    wanted.push_back(static_cast<int32_t>(i));
    wanted_targets.push_back(targets[i]);
  }
  const auto count = static_cast<int64_t>(wanted.size());
  const Tensor selected =
      count == hidden.size(0) ? hidden : Gather(pass, hidden, CopyToArena(pass.arena, wanted), count);
  if (rows != nullptr) *rows = std::move(wanted);
  return LogProb(pass, selected, head_, CopyToArena(pass.arena, wanted_targets), inverse_temperature, with_entropy);
}

ShiftedTargets ShiftTargets(const Batch& batch, int64_t depth) {
  const auto tokens = static_cast<size_t>(batch.tokens()), k = static_cast<size_t>(depth);
  ShiftedTargets shifted{std::vector<int32_t>(tokens, 0), std::vector<int32_t>(tokens, -1),
                         std::vector<float>(tokens, 0.f)};
  for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
    const auto end = static_cast<size_t>(batch.sequence_start[s + 1]);
    for (auto i = static_cast<size_t>(batch.sequence_start[s]); i + k < end; ++i) {
      shifted.ahead[i] = batch.ids[i + k];
      if (batch.targets.empty()) continue;
      shifted.targets[i] = batch.targets[i + k];
      shifted.weights[i] = batch.weights.empty() ? 1.f : batch.weights[i + k];
    }
  }
  return shifted;
}

}  // namespace sputnik
