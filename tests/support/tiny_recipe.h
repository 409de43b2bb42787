// A recipe that a test runs in a second or two: all stages of a run, at the smallest sizes that still have every part.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"

namespace sputnik {

// Some prose with enough variety for a tokenizer of 300 entries.
inline std::string TinyProse(int64_t documents = 120) {
  const char* words[] = {"the",     "moon",  "rises", "over", "a",   "quiet",
                         "harbour", "while", "ships", "wait", "for", "morning"};
  std::string text;
  uint64_t state = 7;
  for (int64_t d = 0; d < documents; ++d) {
    for (int64_t w = 0; w < 12; ++w) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      text += std::string(words[(state >> 33) % 12]) + (w == 11 ? ".\n%\n" : " ");
    }
  }
  return text;
}

// Writes FOLDER/tiny.toml and FOLDER/prose.txt, which it names; returns the recipe's path.
inline std::filesystem::path WriteTinyRecipe(const std::filesystem::path& folder) {
  std::ofstream(folder / "prose.txt") << TinyProse();
  std::ofstream(folder / "tiny.toml") << "[run]\nname = \"tiny\"\nthreads = 1\n"
                                      << "[data]\npercent_separated = true\nheld_out_fraction = 0.1\ntext = [\""
                                      << (folder / "prose.txt").string() << "\"]\n"
                                      << R"(
[tokenizer]
vocab_size = 300
[model]
hidden_size = 16
intermediate_size = 32
moe_intermediate_size = 16
num_hidden_layers = 2
num_nextn_predict_layers = 1
num_attention_heads = 2
n_routed_experts = 4
num_experts_per_tok = 2
first_k_dense_replace = 1
kv_lora_rank = 8
qk_nope_head_dim = 8
qk_rope_head_dim = 4
v_head_dim = 8
max_position_embeddings = 48
position_mode = "randomised"
position_range = 48
[pretrain]
steps = 12
batch_tokens = 256
micro_batch_tokens = 128
context = 32
save_every = 5
eval_every = 6
[sft]
steps = 12
batch_tokens = 256
micro_batch_tokens = 128
highest_level = 2
save_every = 5
eval_every = 6
[improve]
steps = 10
prompts_per_step = 4
group_size = 4
max_tokens = 6
resample_rounds = 1
drop_uniform_groups = false
replay = 0.5
start_level = 2
max_level = 3
save_every = 4
save_rollouts_every = 2
eval_every = 5
[eval]
lowest_level = 1
highest_level = 2
problems = 4
samples = 2
max_tokens = 6
quick_problems = 4
)";
  return folder / "tiny.toml";
}

}  // namespace sputnik
