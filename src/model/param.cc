#include "model/param.h"

#include <algorithm>
#include <cstring>

#include "base/elementary.h"
#include "base/error.h"
#include "base/random.h"

namespace sputnik {
namespace {

class SpecList {
 public:
  explicit SpecList(const ModelConfig& config) : c_(config) {}

  std::vector<ParamSpec> Build() {
    Add("model.embed_tokens.weight", {c_.vocab_size, c_.hidden_size}, ParamRole::kEmbedding);
    for (int64_t layer = 0; layer < c_.num_hidden_layers; ++layer) AddBlock(layer, c_.HasMoe(layer));
    Add("model.norm.weight", {c_.hidden_size}, ParamRole::kGain);
    if (!c_.tie_word_embeddings) Add("lm_head.weight", {c_.vocab_size, c_.hidden_size}, ParamRole::kHead);
    mtp_ = true;
    for (int64_t depth = 0; depth < c_.num_nextn_predict_layers; ++depth) {
      const int64_t layer = c_.num_hidden_layers + depth;
      const std::string prefix = fmt::format("model.layers.{}.", layer);
      Add(prefix + "enorm.weight", {c_.hidden_size}, ParamRole::kGain);
      Add(prefix + "hnorm.weight", {c_.hidden_size}, ParamRole::kGain);
      Add(prefix + "eh_proj.weight", {c_.hidden_size, 2 * c_.hidden_size}, ParamRole::kMatrix);
      AddBlock(layer, c_.n_routed_experts > 0);
      Add(prefix + "shared_head.norm.weight", {c_.hidden_size}, ParamRole::kGain);
    }
    return std::move(list_);
  }

 private:
  void Add(std::string name, std::vector<int64_t> shape, ParamRole role, bool routed = false) {
    list_.push_back({std::move(name), std::move(shape), role, routed, mtp_});
  }

  // `name`.weight, and `name`.bias behind it where there is one.
  void AddLinear(const std::string& name, int64_t outputs, int64_t inputs, bool bias) {
    Add(name + ".weight", {outputs, inputs}, ParamRole::kMatrix);
    if (bias) Add(name + ".bias", {outputs}, ParamRole::kBias);
  }

  void AddMlp(const std::string& prefix, int64_t width, bool routed) {
    Add(prefix + "gate_proj.weight", {width, c_.hidden_size}, ParamRole::kMatrix, routed);
    Add(prefix + "up_proj.weight", {width, c_.hidden_size}, ParamRole::kMatrix, routed);
    Add(prefix + "down_proj.weight", {c_.hidden_size, width}, ParamRole::kMatrix, routed);
    if (!c_.mlp_bias) return;
    Add(prefix + "gate_proj.bias", {width}, ParamRole::kBias);
    Add(prefix + "up_proj.bias", {width}, ParamRole::kBias);
    Add(prefix + "down_proj.bias", {c_.hidden_size}, ParamRole::kBias);
  }

  void AddGroupedAttention(const std::string& attention) {
    const int64_t d = c_.hidden_size, width = c_.qk_head_dim(), q = c_.num_attention_heads * width,
                  kv = c_.key_heads() * width;
    AddLinear(attention + "q_proj", q, d, c_.HasQkvBias());
    AddLinear(attention + "k_proj", kv, d, c_.HasQkvBias());
    AddLinear(attention + "v_proj", kv, d, c_.HasQkvBias());
    AddLinear(attention + "o_proj", d, q, c_.attention_bias);
    if (!c_.HasHeadNorms()) return;
    Add(attention + "q_norm.weight", {width}, ParamRole::kGain);
    Add(attention + "k_norm.weight", {width}, ParamRole::kGain);
  }

  void AddLatentAttention(const std::string& attention) {
    const int64_t d = c_.hidden_size, q = c_.num_attention_heads * c_.qk_head_dim();
    if (c_.q_lora_rank > 0) {
      Add(attention + "q_a_proj.weight", {c_.q_lora_rank, d}, ParamRole::kMatrix);
    } else {
      Add(attention + "q_proj.weight", {q, d}, ParamRole::kMatrix);
    }
    Add(attention + "kv_a_proj_with_mqa.weight", {c_.kv_lora_rank + c_.qk_rope_head_dim, d}, ParamRole::kMatrix);
    if (c_.q_lora_rank > 0) {
      Add(attention + "q_a_layernorm.weight", {c_.q_lora_rank}, ParamRole::kGain);
      Add(attention + "q_b_proj.weight", {q, c_.q_lora_rank}, ParamRole::kMatrix);
    }
    Add(attention + "kv_a_layernorm.weight", {c_.kv_lora_rank}, ParamRole::kGain);
    Add(attention + "kv_b_proj.weight",
        {c_.num_attention_heads * (c_.qk_nope_head_dim + c_.v_head_dim), c_.kv_lora_rank}, ParamRole::kMatrix);
    Add(attention + "o_proj.weight", {d, c_.num_attention_heads * c_.v_head_dim}, ParamRole::kMatrix);
  }

  void AddBlock(int64_t layer, bool moe) {
    const std::string prefix = fmt::format("model.layers.{}.", layer), attention = prefix + "self_attn.";
    const int64_t d = c_.hidden_size;
    Add(prefix + "input_layernorm.weight", {d}, ParamRole::kGain);
    if (c_.HasLatentAttention()) {
      AddLatentAttention(attention);
    } else {
      AddGroupedAttention(attention);
    }
    Add(prefix + "post_attention_layernorm.weight", {d}, ParamRole::kGain);
    if (!moe) return AddMlp(prefix + "mlp.", c_.intermediate_size, false);
    Add(prefix + "mlp.gate.weight", {c_.n_routed_experts, d}, ParamRole::kMatrix);
    if (c_.HasRouterBias()) {
      Add(prefix + "mlp.gate.e_score_correction_bias", {c_.n_routed_experts}, ParamRole::kRouterBias);
    }
    if (c_.n_shared_experts > 0) {
      AddMlp(prefix + "mlp.shared_experts.", c_.n_shared_experts * c_.moe_intermediate_size, false);
    }
    for (int64_t expert = 0; expert < c_.n_routed_experts; ++expert) {
      AddMlp(fmt::format("{}mlp.experts.{}.", prefix, expert), c_.moe_intermediate_size, true);
    }
  }

  const ModelConfig& c_;
  bool mtp_ = false;
  std::vector<ParamSpec> list_;
};

bool Contains(const std::string& name, std::string_view part) { return name.find(part) != std::string::npos; }

DType TypeOf(const ParamSpec& spec, DType dtype) { return spec.role == ParamRole::kRouterBias ? DType::kF32 : dtype; }

Tensor MakeTensor(void* data, DType dtype, const std::vector<int64_t>& shape, GradientSlot* slot) {
  return shape.size() == 1 ? Tensor(data, dtype, {shape[0]}, slot) : Tensor(data, dtype, {shape[0], shape[1]}, slot);
}

}  // namespace

int64_t ParamSpec::elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::vector<ParamSpec> ListParams(const ModelConfig& config) { return SpecList(config).Build(); }

uint64_t HashName(const std::string& name) {
  uint64_t hash = 0;
  for (const char c : name) hash = HashCombine(hash, static_cast<unsigned char>(c));
  return hash;
}

ParamCounts CountParams(const ModelConfig& config) {
  ParamCounts counts;
  for (const ParamSpec& spec : ListParams(config)) {
    const int64_t n = spec.elements();
    if (spec.mtp) {
      counts.mtp += n;
      continue;
    }
    counts.total += n;
    const std::string& name = spec.name;
    if (spec.role == ParamRole::kEmbedding)
      counts.embedding += n;
    else if (spec.role == ParamRole::kHead)
      counts.head += n;
    else if (spec.role == ParamRole::kGain)
      counts.norms += n;
    else if (Contains(name, ".self_attn."))
      counts.attention += n;
    else if (Contains(name, ".mlp.gate."))
      counts.router += n;
    else if (Contains(name, ".shared_experts."))
      counts.shared_experts += n;
    else if (spec.routed_expert)
      counts.routed_experts += n;
    else
      counts.dense_ffn += n;
  }
  const int64_t used =
      config.n_routed_experts > 0 ? counts.routed_experts / config.n_routed_experts * config.num_experts_per_tok : 0;
  counts.active = counts.total - counts.routed_experts + used;
  if (!config.tie_word_embeddings) counts.active -= counts.embedding;
  return counts;
}

Params::Params(const ModelConfig& config, DType dtype, bool with_gradients)
    : Params(ListParams(config), dtype, with_gradients) {}

Params::Params(std::vector<ParamSpec> specs, DType dtype, bool with_gradients) : dtype_(dtype) {
  // Router biases keep float32 beside float64 weights, so they lie behind all others, where alignment is safe.
  int64_t bias_offset = 0;
  for (const ParamSpec& spec : specs) {
    const int64_t bytes = spec.elements() * SizeOf(TypeOf(spec, dtype));
    bytes_ += bytes;
    if (spec.role != ParamRole::kRouterBias) bias_offset += bytes;
  }
  values_ = std::make_unique<std::byte[]>(static_cast<size_t>(bytes_));
  if (with_gradients) {
    gradients_ = std::make_unique<std::byte[]>(static_cast<size_t>(bytes_));
    slots_ = std::make_unique<GradientSlot[]>(specs.size());
  }
  int64_t offset = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    ParamSpec& spec = specs[i];
    const DType type = TypeOf(spec, dtype);
    int64_t& next = spec.role == ParamRole::kRouterBias ? bias_offset : offset;
    GradientSlot* slot = nullptr;
    if (with_gradients && spec.role != ParamRole::kRouterBias) {
      // A joined view reaches past this parameter into its neighbour, whose gradient lies next to it just the same.
      slots_[i] = {.data = gradients_.get() + next, .elements = spec.elements(), .dtype = type};
      slot = &slots_[i];
    }
    Tensor tensor = MakeTensor(values_.get() + next, type, spec.shape, slot);
    next += spec.elements() * SizeOf(type);
    index_.emplace(spec.name, i);
    list_.push_back({std::move(spec), tensor});
  }
}

Params::Params(const ModelConfig& config, const std::map<std::string, const StoredTensor*>& in_place)
    : dtype_(DType::kF32) {
  std::vector<ParamSpec> specs = ListParams(config);
  for (const ParamSpec& spec : specs) {
    if (!in_place.contains(spec.name)) bytes_ += spec.elements() * SizeOf(DType::kF32);
  }
  values_ = std::make_unique<std::byte[]>(static_cast<size_t>(bytes_));
  std::byte* next = values_.get();
  for (ParamSpec& spec : specs) {
    const auto place = in_place.find(spec.name);
    Tensor tensor;
    if (place != in_place.end()) {
      // A tensor's memory may be written to in general; this is mapped for reading, and the system sees to it.
      tensor =
          MakeTensor(const_cast<std::byte*>(place->second->data.data()), place->second->dtype, spec.shape, nullptr);
    } else {
      tensor = MakeTensor(next, DType::kF32, spec.shape, nullptr);
      next += spec.elements() * SizeOf(DType::kF32);
    }
    index_.emplace(spec.name, list_.size());
    list_.push_back({std::move(spec), tensor});
  }
}

size_t Params::IndexOf(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) CheckFailed(__FILE__, __LINE__, "parameter exists", name);
  return found->second;
}

const Tensor& Params::Get(const std::string& name) const { return list_[IndexOf(name)].tensor; }

const Tensor* Params::Find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &list_[found->second].tensor;
}

std::vector<Tensor> Params::Join(const std::vector<std::string>& names) const {
  std::vector<Tensor> joined;
  const std::byte* end = nullptr;
  GradientSlot* slot = nullptr;  // of the first of those that became one
  for (const std::string& name : names) {
    const size_t index = IndexOf(name);
    const Tensor& next = list_[index].tensor;
    if (!joined.empty() && next.data() == end && next.dtype() == joined.back().dtype()) {
      Tensor& last = joined.back();
      CHECK_EQ(last.size(1), next.size(1));
      last = Tensor(last.data(), last.dtype(), {last.size(0) + next.size(0), last.size(1)}, slot);
    } else {
      slot = slots_ ? &slots_[index] : nullptr;
      joined.push_back(next);
    }
    end = static_cast<std::byte*>(next.data()) + next.elements() * SizeOf(next.dtype());
  }
  return joined;
}

Tensor Params::Gradient(const Param& param) const {
  CHECK(has_gradients());
  const auto* base = static_cast<const std::byte*>(param.tensor.data());
  return MakeTensor(gradients_.get() + (base - values_.get()), param.tensor.dtype(), param.spec.shape, nullptr);
}

void Params::ClearGradients() {
  if (gradients_) std::memset(gradients_.get(), 0, static_cast<size_t>(bytes_));
}

void Params::Initialise(const ModelConfig& config, uint64_t seed) {
  for (Param& param : list_) {
    const int64_t n = param.spec.elements();
    Random random(seed, kStreamInit, HashName(param.spec.name));
    const ParamRole role = param.spec.role;
    const bool gain = role == ParamRole::kGain, bias = role == ParamRole::kBias || role == ParamRole::kRouterBias;
    for (int64_t i = 0; i < n; ++i) {
      const double value = gain ? 1.0 : bias ? 0.0 : config.initializer_range * random.Normal();
      if (param.tensor.dtype() == DType::kF64) {
        param.tensor.as<double>()[i] = value;
      } else {
        param.tensor.as<float>()[i] = static_cast<float>(value);
      }
    }
  }
}

}  // namespace sputnik
