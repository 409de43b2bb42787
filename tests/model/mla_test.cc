#include "model/mla.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/rotary.h"
#include "tests/support/cached_forward.h"
#include "tests/support/golden.h"
#include "tests/support/machines.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

ModelConfig Variant(bool compressed) {
  ModelConfig config = TinyConfig();
  if (compressed) return config;
  config.q_lora_rank = 0;
  config.rope_scaling = {.factor = 8, .mscale = 1, .mscale_all_dim = 1, .original_max_position_embeddings = 16};
  return config;
}

class MlaTest : public testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  MlaTest() : config_(Variant(std::get<1>(GetParam()))), decoder_(config_, DType::kF32, false) {
    decoder_.params().Initialise(config_, 3);
    for (Param& param : decoder_.params().list()) {
      if (param.spec.role != ParamRole::kGain) continue;
      Random random(4, kStreamTest, static_cast<uint64_t>(param.spec.elements()));
      for (float& gain : param.tensor.span<float>()) gain += static_cast<float>(0.2 * random.Normal());
    }
  }

  ModelConfig config_;
  Decoder decoder_;
  ThreadPool pool_{2};
  Machine machine_{KernelsFor(std::get<0>(GetParam())), pool_};
  Arena arena_{int64_t{1} << 30};
};

// The model is generated from as it is trained: token by token, in chunks, or in one go, to the last bit.
TEST_P(MlaTest, CachedDecodeEqualsFullForwardBitForBit) {
  const Batch batch = RandomBatch(config_, {37, 1, 16, 33}, 5);
  const std::vector<double> full = FullForward<float>(decoder_, machine_, arena_, batch);
  for (const int64_t chunk : {1, 2, 5, 16, 17, 64}) {
    CachedForward cached(decoder_, machine_, AttentionForm::kExpanded, batch);
    EXPECT_EQ(cached.Run<float>(arena_, chunk), full) << "in chunks of " << chunk;
  }
  // Prefill of one sequence beside decodes of the others.
  CachedForward mixed(decoder_, machine_, AttentionForm::kExpanded, batch);
  mixed.Step<float>(arena_, {3, 0, 16, 1});
  mixed.Step<float>(arena_, {0, 1, 0, 20});
  mixed.Step<float>(arena_, {1, 0, 0, 1});
  EXPECT_EQ(mixed.Run<float>(arena_, 9), full);
}

TEST_P(MlaTest, AbsorbedFormDoesNotDependOnChunksEither) {
  const Batch batch = RandomBatch(config_, {19, 35}, 6);
  CachedForward whole(decoder_, machine_, AttentionForm::kAbsorbed, batch);
  const std::vector<double> full = whole.Run<float>(arena_, 64);
  for (const int64_t chunk : {1, 7, 16}) {
    CachedForward cached(decoder_, machine_, AttentionForm::kAbsorbed, batch);
    EXPECT_EQ(cached.Run<float>(arena_, chunk), full) << chunk;
  }
}

TEST_P(MlaTest, ASequenceDoesNotKnowItsNeighbours) {
  const Batch together = RandomBatch(config_, {18, 23, 4}, 7);
  const std::vector<double> all = FullForward<float>(decoder_, machine_, arena_, together);
  for (size_t s = 0; s < 3; ++s) {
    const auto begin = together.sequence_start[s], end = together.sequence_start[s + 1];
    Batch alone;
    alone.ids.assign(together.ids.begin() + begin, together.ids.begin() + end);
    alone.positions.assign(together.positions.begin() + begin, together.positions.begin() + end);
    alone.sequence_start = {0, end - begin};
    const std::vector<double> own = FullForward<float>(decoder_, machine_, arena_, alone);
    const auto width = config_.hidden_size;
    EXPECT_TRUE(std::equal(own.begin(), own.end(), all.begin() + begin * width)) << s;
  }
}

double Frobenius(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.size(0); ++i) {
    for (int64_t j = 0; j < (t.rank() == 1 ? 1 : t.size(1)); ++j) {
      const auto at = i * t.stride(0) + j;
      const double x = t.dtype() == DType::kF64 ? t.as<double>()[at] : static_cast<double>(t.as<float>()[at]);
      sum += x * x;
    }
  }
  return std::sqrt(sum);
}

double LargestGain(const Tensor& t) {
  double largest = 0;
  for (int64_t i = 0; i < t.size(0); ++i) {
    largest = std::max(largest,
                       std::abs(t.dtype() == DType::kF64 ? t.as<double>()[i] : static_cast<double>(t.as<float>()[i])));
  }
  return largest;
}

// How far one layer's output may be from the exact one, in either form, from the norms of weights and input alone. To
// first order: a chain of n products is off by n ε ‖a‖ ‖b‖; a score off by δ moves a probability by 2δ of itself; a mix
// of values is off by that times the longest value; the output projection carries it on, head by head.
double RoundingBound(const ModelConfig& c, const MlaWeights& w, double x_norm, double epsilon) {
  const auto n = [](int64_t value) { return static_cast<double>(value); };
  const int64_t heads = c.num_attention_heads, key = c.qk_head_dim(), nope = c.qk_nope_head_dim, v = c.v_head_dim;
  const int64_t first = c.q_lora_rank > 0 ? c.q_lora_rank : heads * key;
  const double latent = std::sqrt(n(c.kv_lora_rank)) * LargestGain(w.kv_a_norm);
  const double rope_key =
      Frobenius(w.input_projection.parts[0].Slice(0, first + c.kv_lora_rank, c.qk_rope_head_dim)) * x_norm;
  const double query_input = c.q_lora_rank > 0 ? std::sqrt(n(c.q_lora_rank)) * LargestGain(w.q_a_norm) : x_norm;
  const Tensor query_weight = c.q_lora_rank > 0 ? w.q_b.parts[0] : w.input_projection.parts[0];
  const double chain = n(c.hidden_size + c.q_lora_rank + key + 2 * c.kv_lora_rank + 40);
  double bound = 0;
  for (int64_t h = 0; h < heads; ++h) {
    const double query = Frobenius(query_weight.Slice(0, h * key, key)) * query_input;
    const double u_k = Frobenius(w.kv_b.parts[0].Slice(0, h * (nope + v), nope)),
                 u_v = Frobenius(w.kv_b.parts[0].Slice(0, h * (nope + v) + nope, v));
    const double score = c.SoftmaxScale() * query * std::hypot(u_k * latent, rope_key);
    double output = 0;  // the longest row of this head's part of the projection
    for (int64_t i = 0; i < c.hidden_size; ++i)
      output = std::max(output, Frobenius(w.o.parts[0].Slice(0, i, 1).Slice(1, h * v, v)));
    bound += epsilon * chain * (2 * score + 2) * u_v * latent * output;
  }
  return bound;
}

template <class T>
void CompareForms(const ModelConfig& config, const Machine& machine, double epsilon) {
  Decoder decoder(config, DTypeOf<T>(), false);
  decoder.params().Initialise(config, 8);
  const MlaWeights weights = CollectBlock(config, decoder.params(), 0, config.HasMoe(0)).mla;
  constexpr int32_t kTokens = 21;
  Arena arena(1 << 26);
  Pass pass(machine, arena);
  const Tensor x = pass.New(DTypeOf<T>(), {kTokens, config.hidden_size});
  Random random(9, kStreamTest);
  for (T& value : x.span<T>()) value = static_cast<T>(static_cast<float>(random.Normal()));
  double x_norm = 0;
  for (int64_t i = 0; i < kTokens; ++i) x_norm = std::max(x_norm, Frobenius(x.Slice(0, i, 1)));

  ForwardContext context;
  std::vector<int32_t> positions(kTokens), rows(kTokens), start = {0, kTokens}, count = {kTokens}, table = {1, 0},
                                                          blocks = {0, 2};
  for (int32_t i = 0; i < kTokens; ++i) {
    positions[static_cast<size_t>(i)] = 2 * i;
    rows[static_cast<size_t>(i)] = table[static_cast<size_t>(i / 16)] * 16 + i % 16;
  }
  context.positions = positions.data();
  context.rotary = pass.New(DTypeOf<T>(), {64, config.qk_rope_head_dim});
  FillRotaryTable(config, context.rotary);
  context.layout = {.sequences = 1, .query_start = start.data(), .key_count = count.data(), .key_start = start.data()};
  const Tensor expanded = Mla(pass, config, weights, context, 0, x);
  KvCache cache(config, AttentionForm::kAbsorbed, DTypeOf<T>(), 2);
  context.cache = &cache;
  context.cache_rows = rows.data();
  context.layout.block_table = table.data();
  context.layout.block_start = blocks.data();
  const Tensor absorbed = Mla(pass, config, weights, context, 0, x);

  const double bound = 2 * RoundingBound(config, weights, x_norm, epsilon);
  const double difference = LargestDifference(expanded.span<T>(), absorbed.span<T>());

  EXPECT_LE(difference, bound);
  EXPECT_GT(difference, 0) << "the forms are equal in algebra, not in bits: is one of them not run?";
  EXPECT_LT(bound, 0.1 * LargestOf(expanded.span<T>())) << "a bound that proves nothing";
}

TEST_P(MlaTest, AbsorbedEqualsExpandedWithinRounding) { CompareForms<float>(config_, machine_, 0x1p-24); }

TEST_P(MlaTest, AbsorbedEqualsExpandedInDouble) {
  if (std::get<0>(GetParam()) != "reference") return;
  CompareForms<double>(config_, machine_, 0x1p-53);
}

INSTANTIATE_TEST_SUITE_P(Machines, MlaTest, testing::Combine(testing::ValuesIn(AvailableMachines()), testing::Bool()),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) +
                                  (std::get<1>(instance.param) ? "_compressed" : "_plain");
                         });

}  // namespace
}  // namespace sputnik
