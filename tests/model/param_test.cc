#include "model/param.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/support/config_file.h"
#include "tests/support/published.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

// To the last unit; active figures exclude the input embedding.
TEST(ParamTest, CountsOfPublishedModels) {
  const ParamCounts v3 = CountParams(ConfigFromJson(kV3Json)), v2 = CountParams(ConfigFromJson(kV2Json)),
                    lite = CountParams(ConfigFromJson(kV2LiteJson)),
                    moonlight = CountParams(ConfigFromJson(kMoonlightJson));
  EXPECT_EQ(v3.total, 671'026'419'200);
  EXPECT_EQ(v2.total, 235'741'434'880);
  EXPECT_EQ(lite.total, 15'706'484'224);
  EXPECT_EQ(moonlight.total, 15'960'110'208);
  EXPECT_NEAR(static_cast<double>(v3.active), 36.63e9, 5e6);
  EXPECT_NEAR(static_cast<double>(v2.active), 20.85e9, 5e6);
  EXPECT_NEAR(static_cast<double>(lite.active), 2.45e9, 5e6);
  EXPECT_NEAR(static_cast<double>(moonlight.active), 2.58e9, 5e6);
  const ParamCounts moe = CountParams(ConfigFromJson(kQwen3MoeJson)), llama = CountParams(ConfigFromJson(kLlama32Json));
  EXPECT_EQ(CountParams(ConfigFromJson(kQwen25Json)).total, 1'543'714'304);
  EXPECT_EQ(CountParams(ConfigFromJson(kR1DistillQwenJson)).total, 1'777'088'000);
  EXPECT_EQ(CountParams(ConfigFromJson(kQwen3Json)).total, 596'049'920);
  EXPECT_EQ(moe.total, 30'532'122'624);
  EXPECT_NEAR(static_cast<double>(moe.active), 3.04e9, 5e6);  // "A3B"
  EXPECT_EQ(llama.total, 1'235'814'400);
  EXPECT_EQ(llama.active, llama.total);
  // With the MTP layer, which in the published folder repeats embedding and head.
  EXPECT_EQ(v3.total + v3.mtp + v3.embedding + v3.head, 684'489'845'504);
}

TEST(ParamTest, PartsAddUp) {
  for (const std::string_view json : {kV3Json, kV2LiteJson, kQwen25Json, kQwen3MoeJson, kLlama32Json}) {
    const ParamCounts c = CountParams(ConfigFromJson(json));
    EXPECT_EQ(c.total, c.embedding + c.head + c.attention + c.dense_ffn + c.shared_experts + c.routed_experts +
                           c.router + c.norms);
  }
  ModelConfig tied = TinyConfig();
  const ParamCounts untied = CountParams(tied);
  tied.tie_word_embeddings = true;
  const ParamCounts counts = CountParams(tied);
  EXPECT_EQ(counts.head, 0);
  EXPECT_EQ(counts.total, untied.total - untied.head);
  EXPECT_EQ(counts.active, untied.active);  // the tied matrix works as the head
}

TEST(ParamTest, NamesAndShapesOfV3) {
  const ModelConfig config = ConfigFromJson(kV3Json);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ParamSpec& spec : ListParams(config)) {
    EXPECT_TRUE(shapes.emplace(spec.name, spec.shape).second) << spec.name << " twice";
  }
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shapes.at("model.layers.0.mlp.gate_proj.weight"), (Shape{18432, 7168}));
  EXPECT_EQ(shapes.at("model.layers.60.mlp.experts.255.down_proj.weight"), (Shape{7168, 2048}));
  EXPECT_EQ(shapes.at("model.layers.3.mlp.gate.e_score_correction_bias"), (Shape{256}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.kv_a_proj_with_mqa.weight"), (Shape{576, 7168}));
  EXPECT_EQ(shapes.at("model.layers.3.self_attn.kv_b_proj.weight"), (Shape{32768, 512}));
  EXPECT_EQ(shapes.at("model.layers.61.eh_proj.weight"), (Shape{7168, 14336}));
  EXPECT_EQ(shapes.at("model.layers.61.mlp.experts.0.up_proj.weight"), (Shape{2048, 7168}));
  EXPECT_EQ(shapes.at("lm_head.weight"), (Shape{129280, 7168}));
  EXPECT_FALSE(shapes.contains("model.layers.2.mlp.gate.weight"));
  EXPECT_FALSE(shapes.contains("model.layers.0.self_attn.q_proj.weight"));
}

TEST(ParamTest, NamesOfGroupedAttention) {
  using Names = std::set<std::string>;
  const auto of_layer = [](const char* model_type) {
    Names names;
    for (const ParamSpec& spec : ListParams(TinyFamily(model_type))) {
      constexpr std::string_view kPrefix = "model.layers.1.";
      if (!spec.name.starts_with(kPrefix) || spec.name.find("experts") != std::string::npos) continue;
      names.insert(spec.name.substr(kPrefix.size()));
      EXPECT_EQ(spec.role == ParamRole::kBias, spec.name.ends_with(".bias")) << spec.name;
    }
    for (const char* part : {"q", "k", "v", "o"})
      EXPECT_EQ(names.erase(fmt::format("self_attn.{}_proj.weight", part)), 1u);
    EXPECT_EQ(names.erase("input_layernorm.weight") + names.erase("post_attention_layernorm.weight"), 2u);
    return names;
  };
  const Names mlp = {"mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"};
  const auto with = [](Names names, const Names& more) {
    names.insert(more.begin(), more.end());
    return names;
  };
  const Names qkv_bias = {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"};
  const Names norms = {"self_attn.q_norm.weight", "self_attn.k_norm.weight"};
  EXPECT_EQ(of_layer("qwen2"), with(mlp, qkv_bias));
  EXPECT_EQ(of_layer("qwen3"), with(mlp, norms));
  EXPECT_EQ(of_layer("qwen3_moe"), with(with(norms, qkv_bias), {"self_attn.o_proj.bias", "mlp.gate.weight"}));
  EXPECT_EQ(of_layer("llama"), with(with(mlp, qkv_bias), {"self_attn.o_proj.bias", "mlp.gate_proj.bias",
                                                          "mlp.up_proj.bias", "mlp.down_proj.bias"}));
}

TEST(ParamTest, RolesTellOptimizersApart) {
  std::map<ParamRole, std::set<std::string>> by_role;
  for (const ParamSpec& spec : ListParams(TinyConfig())) {
    by_role[spec.role].insert(spec.name);
    if (spec.role == ParamRole::kMatrix) {
      EXPECT_EQ(spec.shape.size(), 2u) << spec.name;
    }
    EXPECT_EQ(spec.routed_expert, spec.name.find(".experts.") != std::string::npos) << spec.name;
    EXPECT_EQ(spec.mtp, spec.name.find("layers.2.") != std::string::npos) << spec.name;
  }
  EXPECT_EQ(by_role[ParamRole::kEmbedding].size(), 1u);
  EXPECT_EQ(by_role[ParamRole::kHead].size(), 1u);
  EXPECT_EQ(by_role[ParamRole::kRouterBias].size(), 2u);  // one layer and the MTP module
}

TEST(ParamTest, JoinedViewsReachBothGradients) {
  const ModelConfig config = TinyConfig();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Params params(config, dtype, true);
    const std::string gate = "model.layers.0.mlp.gate_proj.weight", up = "model.layers.0.mlp.up_proj.weight";
    const Tensor both = params.Join(gate, up);
    EXPECT_EQ(both.size(0), 80);
    EXPECT_EQ(both.data(), params.Get(gate).data());
    EXPECT_EQ(both.Slice(0, 40, 40).data(), params.Get(up).data());
    Arena arena(1 << 20);
    const Tensor gradient = both.Gradient(arena);
    for (const Param& param : params.list()) {
      const auto* own = params.Gradient(param).data();
      EXPECT_EQ(own == gradient.data(), param.spec.name == gate);
      EXPECT_EQ(own == gradient.Slice(0, 40, 40).data(), param.spec.name == up);
    }
  }
}

TEST(ParamTest, TensorsDoNotOverlap) {
  Params params(TinyConfig(), DType::kF64, true);
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const Param& param : params.list()) {
    const auto* begin = static_cast<const std::byte*>(param.tensor.data());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(begin) % static_cast<size_t>(SizeOf(param.tensor.dtype())), 0u);
    EXPECT_EQ(param.tensor.dtype(), param.spec.role == ParamRole::kRouterBias ? DType::kF32 : DType::kF64);
    EXPECT_EQ(param.tensor.has_gradient(), param.spec.role != ParamRole::kRouterBias);
    ranges.emplace_back(begin, begin + param.spec.elements() * SizeOf(param.tensor.dtype()));
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 0; i + 1 < ranges.size(); ++i) EXPECT_LE(ranges[i].second, ranges[i + 1].first);
}

TEST(ParamTest, InitialValuesAreAFunctionOfSeedAndName) {
  const ModelConfig config = TinyConfig();
  Params a(config, DType::kF32, false), b(config, DType::kF32, true), c(config, DType::kF32, false);
  a.Initialise(config, 1);
  b.Initialise(config, 1);
  c.Initialise(config, 2);
  for (size_t i = 0; i < a.list().size(); ++i) {
    const Param& param = a.list()[i];
    const auto x = param.tensor.span<float>(), y = b.list()[i].tensor.span<float>(),
               z = c.list()[i].tensor.span<float>();
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin())) << param.spec.name;
    const bool drawn = param.spec.role != ParamRole::kGain && param.spec.role != ParamRole::kRouterBias;
    EXPECT_NE(std::equal(x.begin(), x.end(), z.begin()), drawn) << param.spec.name;
    double sum = 0, squares = 0;
    for (const float value : x) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const auto n = static_cast<double>(x.size());
    if (drawn && n > 500) {
      EXPECT_NEAR(sum / n, 0, 5 * 0.15 / std::sqrt(n)) << param.spec.name;
      EXPECT_NEAR(std::sqrt(squares / n), 0.15, 5 * 0.15 / std::sqrt(2 * n)) << param.spec.name;
    } else if (!drawn) {
      EXPECT_EQ(sum, param.spec.role == ParamRole::kGain ? n : 0) << param.spec.name;
    }
  }
  // Two matrices of one shape share no numbers.
  const auto k = a.Get("model.layers.1.mlp.experts.0.gate_proj.weight").span<float>(),
             l = a.Get("model.layers.1.mlp.experts.1.gate_proj.weight").span<float>();
  EXPECT_FALSE(std::equal(k.begin(), k.end(), l.begin()));
}

TEST(ParamTest, ClearGradients) {
  const ModelConfig config = TinyConfig();
  Params params(config, DType::kF32, true);
  for (const Param& param : params.list()) {
    for (float& g : params.Gradient(param).span<float>()) g = 1;
  }
  params.ClearGradients();
  for (const Param& param : params.list()) {
    for (const float g : params.Gradient(param).span<float>()) ASSERT_EQ(g, 0) << param.spec.name;
  }
}

}  // namespace
}  // namespace sputnik
