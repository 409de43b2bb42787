// A task that an untrained model passes about every other time, and a tiny model that says something for it.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/decoder.h"
#include "task/task.h"
#include "text/tokenizer.h"

namespace sputnik {

// Prompts are letters, longer with the level; a completion is graded by a function of its bytes.
class TinyTask : public Task {
 public:
  using Grader = std::function<double(const Problem&, std::string_view)>;

  // Right when the sum of the completion's bytes is even.
  static double EvenSum(const Problem&, std::string_view completion) {
    int sum = 0;
    for (const char c : completion) sum += c;
    return sum % 2 == 0 ? 1 : 0;
  }

  explicit TinyTask(Grader grader = EvenSum, int64_t letters_per_level = 3)
      : grader_(std::move(grader)), letters_per_level_(letters_per_level) {}

  std::string name() const override { return "tiny"; }
  LevelRange levels() const override { return {1, 9}; }
  Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const override {
    Random random(seed, kStreamTask, HashCombine(index, static_cast<uint64_t>(level)));
    std::string prompt(split == Split::kHeldOut ? "H" : "T");
    const auto letters = static_cast<uint64_t>(level * letters_per_level_);
    for (uint64_t n = letters + random.Below(letters), i = 0; i < n; ++i) {
      prompt += static_cast<char>('a' + random.Below(26));
    }
    return {.prompt = prompt, .answer = "a", .level = level};
  }
  Score Grade(const Problem& problem, std::string_view completion) const override {
    const double reward = grader_(problem, completion);
    return {.reward = reward, .correct = reward == 1, .parts = {{"even", reward}}};
  }

 private:
  Grader grader_;
  int64_t letters_per_level_;
};

// The tiny model with a vocabulary of bytes.
inline ModelConfig TinyTextConfig(const Tokenizer& tokenizer) {
  ModelConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.moe_intermediate_size = 12;
  config.num_hidden_layers = 2;
  config.num_nextn_predict_layers = 1;
  config.num_attention_heads = 3;
  config.n_routed_experts = 8;
  config.num_experts_per_tok = 3;
  config.n_group = 4;
  config.topk_group = 2;
  config.q_lora_rank = 20;
  config.kv_lora_rank = 16;
  config.qk_nope_head_dim = 10;
  config.qk_rope_head_dim = 6;
  config.v_head_dim = 9;
  config.max_position_embeddings = 128;
  config.initializer_range = 0.15;
  return config;
}

// Random weights under which a few letters and the end of a sentence are likely, so that completions differ, and some
// end before they are cut off.
inline void InitialisePolicy(Decoder& decoder, const Tokenizer& tokenizer, uint64_t seed) {
  decoder.params().Initialise(decoder.config(), seed);
  Random random(seed, kStreamTest);
  std::vector<int32_t> likely = tokenizer.Encode("abcdefgh");
  likely.push_back(tokenizer.eos_id());
  const Tensor& head = decoder.head();
  for (int64_t row = 0; row < head.size(0); ++row) {
    const bool is_likely = std::find(likely.begin(), likely.end(), row) != likely.end();
    for (int64_t c = 0; c < head.size(1); ++c) {
      head.as<float>()[row * head.size(1) + c] = is_likely ? static_cast<float>(random.Normal()) : 0.f;
    }
  }
}

}  // namespace sputnik
