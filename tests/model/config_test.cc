#include "model/config.h"

#include <functional>

#include "base/json.h"
#include "tests/support/config_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/published.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

// V3's config with some keys replaced (null removes nothing: it is written).
std::string Edited(const Json& changes, std::string_view base = kV3Json) {
  Json json = Json::parse(base);
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return json.dump();
}

TEST(ConfigTest, ReadsPublishedSpelling) {
  const ModelConfig v3 = ConfigFromJson(kV3Json);
  EXPECT_EQ(v3.hidden_size, 7168);
  EXPECT_EQ(v3.max_position_embeddings, 163840);
  EXPECT_EQ(v3.topk_method, "noaux_tc");
  EXPECT_EQ(v3.rope_scaling.factor, 40);
  EXPECT_EQ(v3.rope_scaling.mscale_all_dim, 1);
  EXPECT_EQ(v3.rope_scaling.original_max_position_embeddings, 4096);
  EXPECT_EQ(v3.eos_token_id, 1);
  const ModelConfig lite = ConfigFromJson(kV2LiteJson);
  EXPECT_TRUE(lite.is_v2());
  EXPECT_EQ(lite.q_lora_rank, 0);
  EXPECT_FALSE(lite.HasRouterBias());
  EXPECT_FALSE(lite.norm_topk_prob);
  EXPECT_EQ(ConfigFromJson(kMoonlightJson).rope_scaling.factor, 0);
}

// Files that transformers 5 wrote: rope_parameters, dtype, no scoring_func or topk_method.
TEST(ConfigTest, ReadsTransformersSpelling) {
  const ModelConfig plain = ReadModelConfig(GoldenFolder() / "model/v3_bf16/config.json");
  EXPECT_EQ(plain.rope_theta, 50000);
  EXPECT_EQ(plain.rope_scaling.factor, 0);
  EXPECT_EQ(plain.scoring_func, "sigmoid");
  EXPECT_EQ(plain.topk_method, "noaux_tc");
  EXPECT_EQ(plain.num_nextn_predict_layers, 1);
  const ModelConfig yarn = ReadModelConfig(GoldenFolder() / "model/v2_greedy/config.json");
  EXPECT_EQ(yarn.scoring_func, "softmax");
  EXPECT_EQ(yarn.topk_method, "greedy");
  EXPECT_EQ(yarn.q_lora_rank, 0);
  EXPECT_EQ(yarn.rope_scaling.factor, 40);
  EXPECT_EQ(yarn.rope_scaling.mscale, 0.707);
  EXPECT_EQ(yarn.rope_scaling.original_max_position_embeddings, 32);
  EXPECT_TRUE(ReadModelConfig(GoldenFolder() / "model/v3_tied/config.json").tie_word_embeddings);
}

TEST(ConfigTest, MissingKeysHaveTransformersDefaults) {
  const ModelConfig v3 = ConfigFromJson(R"({"model_type": "deepseek_v3"})"), full = ConfigFromJson(kV3Json);
  EXPECT_EQ(v3.hidden_size, full.hidden_size);
  EXPECT_EQ(v3.n_routed_experts, full.n_routed_experts);
  EXPECT_EQ(v3.q_lora_rank, 1536);
  EXPECT_EQ(v3.routed_scaling_factor, 2.5);
  const ModelConfig v2 = ConfigFromJson(R"({"model_type": "deepseek_v2"})");
  EXPECT_EQ(v2.hidden_size, 4096);
  EXPECT_EQ(v2.n_routed_experts, 64);
  EXPECT_EQ(v2.scoring_func, "softmax");
  EXPECT_EQ(v2.num_nextn_predict_layers, 0);
  const ModelConfig yarn = ConfigFromJson(Edited({{"rope_scaling", {{"type", "yarn"}, {"factor", 4}}}}));
  EXPECT_EQ(yarn.rope_scaling.original_max_position_embeddings, 163840);
}

TEST(ConfigTest, WhatIsWrittenReadsBack) {
  for (const std::string_view json : {kV3Json, kV2Json, kV2LiteJson, kMoonlightJson, kQwen25Json, kR1DistillQwenJson,
                                      kQwen3Json, kQwen3MoeJson, kLlama32Json}) {
    const std::string text = WriteModelConfig(ConfigFromJson(json));
    EXPECT_EQ(WriteModelConfig(ConfigFromJson(text)), text);
  }
  ModelConfig odd = TinyConfig();
  odd.position_mode = "randomised";
  odd.position_range = 77;
  odd.tie_word_embeddings = true;
  odd.rms_norm_eps = 1.25e-5;
  odd.pad_token_id = 3;
  odd.rope_scaling = {.factor = 3.5,
                      .beta_fast = 30,
                      .beta_slow = 2,
                      .mscale = 0.9,
                      .mscale_all_dim = 0.7,
                      .original_max_position_embeddings = 50};
  const ModelConfig read = ConfigFromJson(WriteModelConfig(odd));
  EXPECT_EQ(WriteModelConfig(read), WriteModelConfig(odd));
  EXPECT_EQ(read.position_range, 77);
  EXPECT_EQ(read.rms_norm_eps, 1.25e-5);
  EXPECT_EQ(read.rope_scaling.mscale_all_dim, 0.7);
  EXPECT_EQ(read.eos_token_id, -1);
}

TEST(ConfigTest, RefusesByName) {
  struct Case {
    Json changes;
    std::vector<std::string> mentions;
  };
  const std::vector<Case> cases = {
      {{{"model_type", "mistral"}}, {"model_type", "mistral", "deepseek_v3", "qwen3_moe"}},
      {{{"model_type", 3}}, {"model_type"}},
      {{{"attention_bias", true}}, {"attention_bias"}},
      {{{"mlp_bias", true}}, {"mlp_bias"}},
      {{{"hidden_act", "gelu"}}, {"hidden_act", "gelu", "silu"}},
      {{{"rope_interleave", 0}}, {"rope_interleave"}},
      {{{"attention_dropout", 0.1}}, {"attention_dropout"}},
      {{{"quantization_config", {{"quant_method", "fp8"}}}}, {"quantization_config"}},
      {{{"num_key_value_heads", 1}}, {"num_key_value_heads"}},
      {{{"rope_scaling", {{"type", "dynamic"}, {"factor", 2}}}}, {"rope_scaling", "dynamic"}},
      {{{"rope_scaling", {{"type", 7}}}}, {"rope_scaling", "7"}},
      {{{"rope_scaling", "yarn"}}, {"rope_scaling"}},
      {{{"rope_scaling", {{"type", "yarn"}}}}, {"factor"}},
      {{{"rope_scaling", {{"type", "yarn"}, {"factor", 0.5}}}}, {"factor", "0.5"}},
      {{{"rope_scaling", {{"type", "yarn"}, {"factor", "4"}}}}, {"factor"}},
      {{{"rope_scaling", {{"type", "yarn"}, {"factor", 4}, {"beta_fast", 0}}}}, {"beta_fast"}},
      {{{"rope_scaling", {{"type", "yarn"}, {"factor", 4}, {"attention_factor", 0}}}}, {"attention_factor"}},
      {{{"rope_scaling", {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 1e300}}}},
       {"original_max_position_embeddings"}},
      {{{"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}}}, {"partial_rotary_factor"}},
      {{{"rope_theta", 1}}, {"rope_theta"}},
      {{{"scoring_func", "sqrtsoftplus"}}, {"scoring_func", "sqrtsoftplus"}},
      {{{"topk_method", "best"}}, {"topk_method", "best"}},
      {{{"hidden_size", "7168"}}, {"hidden_size", "whole number"}},
      {{{"hidden_size", 1.5}}, {"hidden_size"}},
      {{{"hidden_size", -1}}, {"hidden_size"}},
      {{{"hidden_size", 0}}, {"hidden_size"}},
      {{{"hidden_size", uint64_t{1} << 63}}, {"hidden_size"}},
      {{{"norm_topk_prob", 1}}, {"norm_topk_prob", "true or false"}},
      {{{"rms_norm_eps", "small"}}, {"rms_norm_eps"}},
      {{{"vocab_size", 0}}, {"vocab_size"}},
      {{{"num_hidden_layers", 1000000000}}, {"parameters"}},
      {{{"max_position_embeddings", 1 << 30}}, {"max_position_embeddings"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.changes.dump());
    const std::string message = ExpectError(ExitCode::kUsage, [&] { ConfigFromJson(Edited(c.changes)); });
    EXPECT_MENTIONS(message, "config.json");
    for (const std::string& part : c.mentions) EXPECT_MENTIONS(message, part);
  }
  ExpectError(ExitCode::kUsage, [] { ConfigFromJson("[]"); });
  ExpectError(ExitCode::kUsage, [] { ConfigFromJson("{}"); });
  ExpectError(ExitCode::kBadInput, [] { ConfigFromJson(""); });
  ExpectError(ExitCode::kBadInput, [] { ConfigFromJson(R"({"model_type": "deepseek_v3", "rope_theta": 1e400})"); });
  ExpectError(ExitCode::kBadInput, [] { ReadModelConfig("/nowhere/config.json"); });
}

TEST(ConfigTest, ValidateNamesTheKey) {
  const std::vector<std::pair<std::function<void(ModelConfig&)>, std::string>> cases = {
      {[](ModelConfig& c) { c.vocab_size = 0; }, "vocab_size"},
      {[](ModelConfig& c) { c.qk_rope_head_dim = 5; }, "qk_rope_head_dim"},
      {[](ModelConfig& c) { c.position_mode = "randomised"; }, "position_range"},
      {[](ModelConfig& c) { c.position_mode = "sinusoid"; }, "position_mode"},
      {[](ModelConfig& c) { c.num_experts_per_tok = 9; }, "num_experts_per_tok"},
      {[](ModelConfig& c) { c.n_group = 3; }, "n_group"},
      {[](ModelConfig& c) { c.topk_group = 5; }, "topk_group"},
      {[](ModelConfig& c) { c.num_experts_per_tok = 5; }, "num_experts_per_tok"},  // two groups of two
      {[](ModelConfig& c) { c.n_group = c.topk_group = 8; }, "n_group"},           // no two experts in a group
      {[](ModelConfig& c) { c.num_attention_heads = 0; }, "num_attention_heads"},
      {[](ModelConfig& c) { c.hidden_size = int64_t{1} << 40; }, "hidden_size"},
      {[](ModelConfig& c) { c.hidden_size = c.intermediate_size = 1 << 30; }, "parameters"},
      {[](ModelConfig& c) { c.num_hidden_layers = c.n_routed_experts = 1 << 20; }, "tensors"},
      {[](ModelConfig& c) { c.aux_loss_alpha = -1; }, "aux_loss_alpha"},
      {[](ModelConfig& c) { c.rope_theta = 0; }, "rope_theta"},
  };
  TinyConfig().Validate("recipe");
  for (const auto& [spoil, key] : cases) {
    ModelConfig config = TinyConfig();
    spoil(config);
    const std::string message = ExpectError(ExitCode::kUsage, [&] { config.Validate("recipe [model]"); });
    EXPECT_MENTIONS(message, "recipe [model]");
    EXPECT_MENTIONS(message, key);
  }
  ModelConfig dense = TinyConfig();  // expert keys mean nothing without experts
  dense.n_routed_experts = 0;
  dense.num_experts_per_tok = 9;
  dense.Validate("recipe");
}

TEST(ConfigTest, WhichLayersHaveExperts) {
  ModelConfig config = TinyConfig();
  config.first_k_dense_replace = 3;
  config.moe_layer_freq = 2;
  EXPECT_FALSE(config.HasMoe(2));
  EXPECT_FALSE(config.HasMoe(3));
  EXPECT_TRUE(config.HasMoe(4));
  config.n_routed_experts = 0;
  EXPECT_FALSE(config.HasMoe(4));
}

TEST(ConfigTest, SoftmaxScalesOfPublishedModels) {
  EXPECT_NEAR(ConfigFromJson(kV3Json).SoftmaxScale(), 0.1352338, 5e-8);
  EXPECT_NEAR(ConfigFromJson(kV2Json).SoftmaxScale(), 0.1147214, 5e-8);
  EXPECT_NEAR(ConfigFromJson(kV2LiteJson).SoftmaxScale(), 0.1147214, 5e-8);
  EXPECT_NEAR(ConfigFromJson(kMoonlightJson).SoftmaxScale(), 0.0721688, 5e-8);
}

TEST(ConfigTest, LatentCacheOfPublishedModels) {
  EXPECT_EQ(ConfigFromJson(kV3Json).CacheBytesPerToken(2), 70272);
  EXPECT_EQ(ConfigFromJson(kV2Json).CacheBytesPerToken(2), 69120);
  EXPECT_EQ(ConfigFromJson(kMoonlightJson).CacheBytesPerToken(2), 31104);
}

}  // namespace
}  // namespace sputnik
