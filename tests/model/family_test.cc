#include "model/family.h"

#include <set>

#include "tests/support/config_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/published.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

std::string Edited(std::string_view base, const Json& changes) {
  Json json = Json::parse(base);
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return json.dump();
}

TEST(FamilyTest, DefaultsAreThoseOfTransformers) {
  for (const std::string& type : ModelTypes()) {
    SCOPED_TRACE(type);
    FileDefaults(type).Validate("defaults");
    ModelConfig small = RecipeDefaults(type);
    small.vocab_size = 100;
    small.Validate("recipe");
    EXPECT_EQ(small.model_type, type);
  }
  const ModelConfig qwen3 = ConfigFromJson(R"({"model_type": "qwen3"})");
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(qwen3.intermediate_size, 22016);
  EXPECT_EQ(qwen3.key_heads(), 32);
  const ModelConfig moe = ConfigFromJson(R"({"model_type": "qwen3_moe"})");
  EXPECT_EQ(moe.qk_head_dim(), 2048 / 32);
  EXPECT_EQ(moe.key_heads(), 4);
  EXPECT_EQ(moe.n_routed_experts, 128);
  EXPECT_FALSE(moe.norm_topk_prob);
  const ModelConfig llama = ConfigFromJson(R"({"model_type": "llama"})");
  EXPECT_EQ(llama.key_heads(), 32);
  EXPECT_EQ(llama.vocab_size, 32000);
  EXPECT_EQ(llama.eos_token_id, 2);
  EXPECT_EQ(ConfigFromJson(R"({"model_type": "qwen2", "num_key_value_heads": null})").key_heads(), 32);
  EXPECT_THROW(FileDefaults("mistral"), Error);
}

TEST(FamilyTest, KeysGoByTheFamilysNames) {
  const ModelConfig moe = ConfigFromJson(kQwen3MoeJson), v3 = ConfigFromJson(kV3Json),
                    llama = ConfigFromJson(kLlama32Json);
  EXPECT_EQ(FileKey(moe, "n_routed_experts"), "num_experts");
  EXPECT_EQ(FileKey(moe, "moe_layer_freq"), "decoder_sparse_step");
  EXPECT_EQ(FileKey(v3, "n_routed_experts"), "n_routed_experts");
  EXPECT_EQ(FileKey(llama, "n_routed_experts"), "");
  EXPECT_EQ(FileKey(llama, "kv_lora_rank"), "");
  EXPECT_EQ(FileKey(v3, "head_dim"), "");  // transformers writes one, which says nothing new
  EXPECT_EQ(FileKey(llama, "hidden_size"), "hidden_size");
  const Json written = Json::parse(WriteModelConfig(moe));
  EXPECT_EQ(written["num_experts"], 128);
  EXPECT_EQ(written["decoder_sparse_step"], 1);
  EXPECT_EQ(written["architectures"][0], "Qwen3MoeForCausalLM");
  EXPECT_FALSE(written.contains("kv_lora_rank"));
  // As transformers 5 spells it.
  Json renamed = Json::parse(kQwen3MoeJson);
  renamed["num_local_experts"] = 64;
  renamed.erase("num_experts");
  EXPECT_EQ(ConfigFromJson(renamed.dump()).n_routed_experts, 64);
}

TEST(FamilyTest, EveryPublishedKeyIsUnderstood) {
  const ModelConfig distilled = ConfigFromJson(kR1DistillQwenJson), llama = ConfigFromJson(kLlama32Json);
  EXPECT_TRUE(distilled.HasQkvBias());
  EXPECT_FALSE(distilled.attention_bias);
  EXPECT_FALSE(distilled.HasHeadNorms());
  EXPECT_EQ(distilled.qk_head_dim(), 128);
  EXPECT_EQ(llama.rope_scaling.type, "llama3");
  EXPECT_EQ(llama.rope_scaling.factor, 32);
  EXPECT_EQ(llama.eos_token_id, 128001);
  EXPECT_EQ(llama.more_eos_token_ids, (std::vector<int64_t>{128008, 128009}));
  EXPECT_EQ(Json::parse(WriteModelConfig(llama))["eos_token_id"], Json({128001, 128008, 128009}));
  EXPECT_TRUE(ConfigFromJson(kQwen3Json).HasHeadNorms());
  EXPECT_EQ(ConfigFromJson(kQwen3Json).SoftmaxScale(), 1 / std::sqrt(128.0));
}

TEST(FamilyTest, WhichLayersOfQwenHaveExperts) {
  ModelConfig c = ConfigFromJson(kQwen3MoeJson);
  EXPECT_TRUE(c.HasMoe(0));
  c.mlp_only_layers = {0, 5};
  EXPECT_FALSE(c.HasMoe(0));
  EXPECT_TRUE(c.HasMoe(1));
  EXPECT_FALSE(c.HasMoe(5));
  c.moe_layer_freq = 2;
  EXPECT_FALSE(c.HasMoe(2));
  EXPECT_TRUE(c.HasMoe(3));
}

// A setting of another family would silently do nothing.
TEST(FamilyTest, FieldsOfOtherFamiliesMustStayAtTheirDefaults) {
  const std::vector<std::tuple<const char*, void (*)(ModelConfig&), const char*>> cases = {
      {"llama", [](ModelConfig& c) { c.n_routed_experts = 4; }, "n_routed_experts"},
      {"llama", [](ModelConfig& c) { c.q_lora_rank = 4; }, "q_lora_rank"},
      {"qwen2", [](ModelConfig& c) { c.attention_bias = true; }, "attention_bias"},
      {"qwen3", [](ModelConfig& c) { c.mlp_bias = true; }, "mlp_bias"},
      {"qwen3", [](ModelConfig& c) { c.num_nextn_predict_layers = 1; }, "num_nextn_predict_layers"},
      {"qwen3_moe", [](ModelConfig& c) { c.n_shared_experts = 1; }, "n_shared_experts"},
      {"qwen3_moe", [](ModelConfig& c) { c.topk_method = "noaux_tc"; }, "topk_method"},
      {"deepseek_v3", [](ModelConfig& c) { c.num_key_value_heads = 1; }, "num_key_value_heads"},
      {"deepseek_v3", [](ModelConfig& c) { c.mlp_only_layers = {1}; }, "mlp_only_layers"},
      {"deepseek_v2", [](ModelConfig& c) { c.rope_interleave = false; }, "rope_interleave"},
  };
  for (const auto& [type, spoil, key] : cases) {
    ModelConfig config = RecipeDefaults(type);
    config.vocab_size = 100;
    CheckFieldsOfFamily(config, "recipe");
    spoil(config);
    const std::string message = ExpectError(ExitCode::kUsage, [&] { config.Validate("recipe [model]"); });
    EXPECT_MENTIONS(message, key);
    EXPECT_MENTIONS(message, type);
  }
}

TEST(FamilyTest, WindowsMayBeThereWhenTheyAreOff) {
  const Json full = Json::array({"full_attention"});
  for (const Json& harmless :
       std::vector<Json>{{{"sliding_window", 16}},
                         {{"sliding_window", 16}, {"use_sliding_window", false}},
                         {{"use_sliding_window", true}, {"sliding_window", nullptr}},
                         {{"use_sliding_window", true}, {"sliding_window", 16}, {"max_window_layers", 28}},
                         {{"use_sliding_window", true}, {"max_window_layers", 3}, {"layer_types", full}}}) {
    EXPECT_NO_THROW(ConfigFromJson(Edited(kQwen3Json, harmless))) << harmless;
  }
}

TEST(FamilyTest, RefusesByName) {
  const Json mixed = Json::array({"full_attention", "sliding_attention"});
  const Json fp8 = {{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {128, 128}}};
  const std::vector<std::tuple<std::string_view, Json, std::string>> cases = {
      {kQwen25Json, {{"use_sliding_window", true}}, "use_sliding_window"},
      {kQwen3Json,
       {{"use_sliding_window", true}, {"sliding_window", 16}, {"max_window_layers", 27}},
       "use_sliding_window"},
      {kQwen3MoeJson, {{"use_sliding_window", true}, {"sliding_window", 16}}, "use_sliding_window"},
      {kQwen3Json, {{"layer_types", mixed}}, "layer_types"},
      {kLlama32Json, {{"sliding_window", 4096}}, "sliding_window"},
      {kLlama32Json, {{"hidden_act", "gelu"}}, "hidden_act"},
      {kLlama32Json, {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor"},
      {kLlama32Json, {{"quantization_config", {{"quant_method", "gptq"}}}}, "quantization_config"},
      {kLlama32Json, {{"quantization_config", {{"quant_method", "fp8"}}}}, "weight_block_size"},
      {kLlama32Json, {{"num_key_value_heads", 5}}, "num_key_value_heads"},
      {kLlama32Json, {{"num_attention_heads", 24}, {"num_key_value_heads", 8}}, "hidden_size"},
      {kLlama32Json, {{"head_dim", 63}}, "head_dim"},
      {kLlama32Json, {{"eos_token_id", {"a"}}}, "eos_token_id"},
      {kLlama32Json, {{"attention_bias", 1}}, "attention_bias"},
      {kQwen3MoeJson, {{"mlp_only_layers", 3}}, "mlp_only_layers"},
      {kQwen3MoeJson, {{"mlp_only_layers", {"3"}}}, "mlp_only_layers"},
      {kQwen3MoeJson, {{"num_experts", -1}}, "num_experts"},
      {kQwen3MoeJson, {{"decoder_sparse_step", 0}}, "decoder_sparse_step"},
      {kV2LiteJson, {{"norm_topk_prob", true}, {"routed_scaling_factor", 2.0}}, "norm_topk_prob"},
  };
  for (const auto& [base, changes, key] : cases) {
    SCOPED_TRACE(changes.dump());
    const std::string message =
        ExpectError(ExitCode::kUsage, [&, b = base, c = changes] { ConfigFromJson(Edited(b, c)); });
    EXPECT_MENTIONS(message, "config.json");
    EXPECT_MENTIONS(message, key);
  }
  EXPECT_NO_THROW(ConfigFromJson(Edited(kV3Json, {{"quantization_config", fp8}})));
  EXPECT_NO_THROW(ConfigFromJson(Edited(kQwen3Json, {{"quantization_config", fp8}})));
}

}  // namespace
}  // namespace sputnik
