#include "model/adapter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernel/backend.h"
#include "tests/support/adapters.h"
#include "tests/support/cached_forward.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

std::vector<std::string> NamesOf(const std::vector<AdaptedModule>& modules) {
  std::vector<std::string> names;
  for (const AdaptedModule& module : modules) names.push_back(module.name);
  return names;
}

TEST(AdapterModules, AreNamedByTheirEnds) {
  const ModelConfig config = TinyConfig();
  EXPECT_EQ(NamesOf(FindModules(config, {"kv_b_proj", "model.layers.1.self_attn.o_proj"})),
            (std::vector<std::string>{"model.layers.0.self_attn.kv_b_proj", "model.layers.1.self_attn.kv_b_proj",
                                      "model.layers.1.self_attn.o_proj"}));
  EXPECT_EQ(FindModules(config, {"shared_experts.up_proj"}).size(), 1u);
  // A dense one, a shared one and eight experts; not the MTP module's.
  const std::vector<AdaptedModule> up = FindModules(config, {"up_proj"});
  ASSERT_EQ(up.size(), 10u);
  EXPECT_EQ(up[0].name, "model.layers.0.mlp.up_proj");
  EXPECT_EQ(std::pair(up[0].outputs, up[0].inputs), std::pair(config.intermediate_size, config.hidden_size));
  EXPECT_EQ(std::count_if(up.begin(), up.end(), [](const auto& m) { return m.routed_expert; }), 8);
}

TEST(AdapterModules, AllLinearIsAllButRoutersEmbeddingAndHead) {
  const std::vector<AdaptedModule> all = FindModules(TinyConfig(), {"all-linear"});
  EXPECT_EQ(all.size(), 2u * 5 + 3 + 3 + 8 * 3);
  for (const AdaptedModule& module : all) EXPECT_FALSE(module.name.ends_with(".gate")) << module.name;
  EXPECT_EQ(FindModules(TinyConfig(), {"gate"}).size(), 1u);
  EXPECT_EQ(FindModules(TinyFamily("llama"), {"all-linear"}).size(), 2u * 7);
}

TEST(AdapterModules, NamesThatAreNoneAreRefusedWithTheNearest) {
  const auto refusal = [](const ModelConfig& config, const std::vector<std::string>& targets) {
    return ExpectError(ExitCode::kUsage, [&] { FindModules(config, targets); });
  };
  EXPECT_MENTIONS(refusal(TinyConfig(), {"o_proj", "kv_b_prj"}), "did you mean \"kv_b_proj\"?");
  EXPECT_MENTIONS(refusal(TinyConfig(), {"k_proj"}), "\"k_proj\"");
  EXPECT_MENTIONS(refusal(TinyFamily("llama"), {"lm_head"}), "q_proj");
  EXPECT_MENTIONS(refusal(TinyConfig(), {}), "all-linear");
  EXPECT_MENTIONS(refusal(TinyConfig(), {"experts.3.up_proj"}), "all or none");
}

TEST(Adapter, BeginsAsPeftDoes) {
  const ModelConfig config = TinyConfig();
  Adapter adapter({.rank = 5}, FindModules(config, {"all-linear"}), DType::kF32, false);
  Adapter fewer({.rank = 5}, FindModules(config, {"o_proj"}), DType::kF32, false);
  adapter.Initialise(3);
  fewer.Initialise(3);
  for (const Param& param : adapter.params().list()) {
    const bool b = param.spec.name.ends_with(".lora_B.weight");
    const double bound = 1 / std::sqrt(static_cast<double>(param.spec.shape[1]));
    double largest = 0, sum = 0;
    for (const float value : param.tensor.span<float>()) {
      largest = std::max(largest, std::abs(static_cast<double>(value)));
      sum += static_cast<double>(value);
    }
    if (b) {
      EXPECT_EQ(largest, 0) << param.spec.name;
    } else {
      EXPECT_LE(largest, bound) << param.spec.name;
      EXPECT_GE(largest, 0.8 * bound) << param.spec.name;
      EXPECT_LE(std::abs(sum), 4 * bound * std::sqrt(static_cast<double>(param.spec.elements()) / 3))
          << param.spec.name;
    }
  }
  const std::string name = "model.layers.1.self_attn.o_proj.lora_A.weight";  // whatever else there is
  EXPECT_TRUE(std::ranges::equal(adapter.params().Get(name).span<float>(), fewer.params().Get(name).span<float>()));
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, 1);
  ThreadPool pool(1);
  const Machine machine{KernelsFor("cpu"), pool};
  Arena arena;
  const Batch batch = RandomBatch(config, {9, 4}, 2);
  const std::vector<double> before = FullForward<float>(decoder, machine, arena, batch);
  decoder.SetAdapter(std::make_unique<Adapter>(std::move(adapter)));
  EXPECT_EQ(FullForward<float>(decoder, machine, arena, batch), before);
}

TEST(Adapter, ScaleIsAlphaOverTheRankOrItsRoot) {
  EXPECT_EQ((AdapterConfig{.rank = 4, .alpha = 6}.Scale()), 1.5);
  EXPECT_EQ((AdapterConfig{.rank = 4, .alpha = 6, .use_rslora = true}.Scale()), 3);
}

class AdapterForward : public testing::TestWithParam<std::string> {
 protected:
  static ModelConfig Config() { return GetParam() == "deepseek_v3" ? TinyConfig() : TinyFamily(GetParam()); }

  template <class T>
  void Start(bool with_gradients) {
    decoder_ = std::make_unique<Decoder>(config_, DTypeOf<T>(), false);
    decoder_->params().Initialise(config_, 7);
    AdapterConfig adapter{.rank = 3, .alpha = 4};
    if (config_.n_routed_experts > 0) adapter.targets.emplace_back("gate");
    decoder_->SetAdapter(RandomAdapter<T>(config_, adapter, with_gradients));
  }
  double Loss(const Batch& batch, bool backward) {
    const ArenaScope scope(arena_);
    Tape tape(arena_);
    Pass pass(reference_, arena_, backward ? &tape : nullptr);
    const ForwardResult out = decoder_->Forward(pass, batch, {.recompute = true});
    std::vector<int32_t> rows;
    const LogProbs probs = decoder_->TargetLogProbs(pass, out.hidden, batch.targets, &rows);
    double loss = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto w = static_cast<double>(batch.weights[static_cast<size_t>(rows[i])]);
      loss -= w * probs.logprob.as<double>()[i];
      if (backward) probs.logprob.Gradient(arena_).as<double>()[i] = -w;
    }
    if (backward) tape.Backward();
    return loss;
  }

  ModelConfig config_ = Config();
  std::unique_ptr<Decoder> decoder_;
  ThreadPool pool_{2};
  Machine reference_{KernelsFor("reference"), pool_}, machine_{KernelsFor("cpu"), pool_};
  Arena arena_;
};

// Central differences in double, of frozen weights without gradients: attention, dense layers, experts and routers.
TEST_P(AdapterForward, EveryGradientMatchesDifferences) {
  Start<double>(true);
  Random random(4, kStreamTest);
  const Batch batch = RandomBatch(config_, {7, 1, 12}, 11);
  Params& learnt = decoder_->trained();
  Loss(batch, true);
  for (Param& param : learnt.list()) {
    const Tensor gradient = learnt.Gradient(param);
    double difference = 0, size = 0;
    for (int probe = 0; probe < 3; ++probe) {
      const auto i = static_cast<int64_t>(random.Below(static_cast<uint64_t>(param.spec.elements())));
      double& weight = param.tensor.as<double>()[i];
      const double old = weight, step = 1e-5;
      weight = old + step;
      const double above = Loss(batch, false);
      weight = old - step;
      const double below = Loss(batch, false);
      weight = old;
      const double expected = (above - below) / (2 * step), actual = gradient.as<double>()[i];
      difference = std::max(difference, std::abs(actual - expected));
      size = std::max({size, std::abs(actual), std::abs(expected)});
    }
    EXPECT_LE(difference, 1e-6 * size + 2e-9) << param.spec.name << " of size " << size;
  }
}

TEST_P(AdapterForward, ACacheChangesNoBit) {
  Start<float>(false);
  const Batch batch = RandomBatch(config_, {37, 5, 20}, 3);
  const std::vector<double> whole = FullForward<float>(*decoder_, machine_, arena_, batch);
  CachedForward cached(*decoder_, machine_, AttentionForm::kExpanded, batch);
  EXPECT_EQ(cached.Run<float>(arena_, 3), whole);
  decoder_->SetAdapter(nullptr);
  EXPECT_NE((FullForward<float>(*decoder_, machine_, arena_, batch)), whole);
}

// The form that never expands keys and values must put kv_b_proj's adapter where it belongs in both its products.
TEST_P(AdapterForward, BothFormsOfLatentAttentionAgree) {
  if (!config_.HasLatentAttention()) return;  // there is one form only
  Start<double>(false);
  const Batch batch = RandomBatch(config_, {21, 6}, 3);
  const std::vector<double> whole = FullForward<double>(*decoder_, reference_, arena_, batch);
  CachedForward cached(*decoder_, reference_, AttentionForm::kAbsorbed, batch);
  const std::vector<double> absorbed = cached.Run<double>(arena_, 4);
  for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(absorbed[i], whole[i], 1e-10);
}

INSTANTIATE_TEST_SUITE_P(Families, AdapterForward, testing::Values("deepseek_v3", "qwen3_moe", "llama"));

TEST(AdapterProduct, IsTheSameInPieces) {
  const ModelConfig config = TinyConfig();
  const auto adapter = RandomAdapter<float>(config, {.rank = 3, .alpha = 2, .targets = {"kv_b_proj"}}, false);
  const LowRank w = *adapter->Find("model.layers.0.self_attn.kv_b_proj");
  const int64_t rows = w.b.size(0), columns = w.a.size(1);
  std::vector<float> whole(static_cast<size_t>(rows * columns), 0.5f), pieces = whole;
  AddProduct(w, 0, whole);
  for (int64_t begin = 0; begin < rows * columns; begin += 7) {
    const auto count = static_cast<size_t>(std::min<int64_t>(7, rows * columns - begin));
    AddProduct(w, begin, {pieces.data() + begin, count});
  }
  EXPECT_EQ(pieces, whole);
  double sum = 0;
  for (int64_t k = 0; k < 3; ++k) {
    sum += static_cast<double>(w.b.as<float>()[(rows - 1) * 3 + k]) *
           static_cast<double>(w.a.as<float>()[k * columns + 5]);
  }
  EXPECT_NEAR(whole[static_cast<size_t>((rows - 1) * columns + 5)], 0.5 + 2.0 / 3 * sum, 1e-6);
}

}  // namespace
}  // namespace sputnik
