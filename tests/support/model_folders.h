// Model folders for the tests of the program.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "model/checkpoint.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/tiny_model.h"

namespace sputnik {

// Random weights in the tiny shape, with a tokenizer of bytes; fewer ids than it has make a folder that does not fit.
inline Tokenizer MakeTinyFolder(const std::filesystem::path& folder, uint64_t seed = 1, int64_t vocab_size = 0) {
  Tokenizer tokenizer = MakeByteTokenizer(folder);
  ModelConfig config = TinyConfig();
  config.num_nextn_predict_layers = 0;
  config.vocab_size = vocab_size > 0 ? vocab_size : tokenizer.vocab_size();
  config.bos_token_id = std::min<int64_t>(tokenizer.bos_id(), config.vocab_size - 1);
  config.eos_token_id = std::min<int64_t>(tokenizer.eos_id(), config.vocab_size - 1);
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, seed);
  SaveModel(folder, decoder);
  return tokenizer;
}

// A model that always says the same: after `<｜Assistant｜>` comes `answer`, then, without `endless`, the end of
// sentence; endless answers go round. Each token decides the next alone, so none may occur twice in `answer`.
inline Tokenizer MakeParrotFolder(const std::filesystem::path& folder, std::string_view answer, int64_t context = 512,
                                  bool endless = false) {
  Tokenizer tokenizer = MakeByteTokenizer(folder);
  ModelConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.hidden_size = config.vocab_size;
  config.intermediate_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 1;
  config.kv_lora_rank = 8;
  config.qk_nope_head_dim = config.qk_rope_head_dim = config.v_head_dim = 4;
  config.max_position_embeddings = context;
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id = tokenizer.eos_id();
  Decoder decoder(config, DType::kF32, false);
  for (const Param& param : decoder.params().list()) {
    const float value = param.spec.role == ParamRole::kGain ? 1.f : 0.f;
    std::fill_n(param.tensor.as<float>(), param.spec.elements(), value);
  }
  // The blocks add nothing, so the head sees one row of the identity: it looks up what follows.
  float* embedding = decoder.params().Get("model.embed_tokens.weight").as<float>();
  float* head = decoder.params().Get("lm_head.weight").as<float>();
  for (int64_t i = 0; i < config.vocab_size; ++i) embedding[i * config.hidden_size + i] = 1;
  const auto follow = [&](int32_t token, int32_t next) { head[next * config.hidden_size + token] = 4; };
  const std::vector<int32_t> ids = tokenizer.Encode(answer);
  int32_t last = *tokenizer.SpecialId(kAssistantToken);
  for (const int32_t id : ids) follow(std::exchange(last, id), id);
  follow(last, endless ? ids.front() : tokenizer.eos_id());
  SaveModel(folder, decoder);
  return tokenizer;
}

}  // namespace sputnik
