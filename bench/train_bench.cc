// Training speed: tokens per second of whole optimizer steps (forward, backward, Muon or AdamW) on random ids.
//   train_bench [SHAPE [THREADS [STEPS [OPTIMIZER]]]]    SHAPE: nano, micro, mini
// The shapes are those of tools/peer_training.py, which times PyTorch and transformers on the same work.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kernel/backend.h"
#include "kernel/peak.h"
#include "train/ledger.h"
#include "train/step.h"

namespace {

using namespace sputnik;

ModelConfig Shape(const std::string& name) {
  ModelConfig c;
  c.first_k_dense_replace = 1;
  c.max_position_embeddings = 256;
  const auto set = [&](int64_t layers, int64_t d, int64_t dense, int64_t expert, int64_t heads, int64_t experts,
                       int64_t k, int64_t kv, int64_t nope, int64_t rope, int64_t v, int64_t vocabulary) {
    c.num_hidden_layers = layers;
    c.hidden_size = d;
    c.intermediate_size = dense;
    c.moe_intermediate_size = expert;
    c.num_attention_heads = heads;
    c.n_routed_experts = experts;
    c.num_experts_per_tok = k;
    c.kv_lora_rank = kv;
    c.qk_nope_head_dim = nope;
    c.qk_rope_head_dim = rope;
    c.v_head_dim = v;
    c.vocab_size = vocabulary;
  };
  if (name == "nano") {
    set(4, 128, 384, 64, 4, 16, 2, 32, 32, 16, 32, 512);
  } else if (name == "micro") {
    set(6, 256, 768, 96, 4, 16, 3, 64, 64, 32, 64, 1024);
  } else if (name == "mini") {
    set(8, 384, 1152, 128, 6, 32, 4, 96, 64, 32, 64, 4096);
  } else {
    std::fprintf(stderr, "unknown shape %s; there are nano, micro, mini\n", name.c_str());
    std::exit(2);
  }
  return c;
}

Batch RandomTokens(int64_t sequences, int64_t length, int64_t vocabulary, uint64_t seed) {
  Random random(seed, kStreamTest);
  Batch batch;
  batch.sequence_start = {0};
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t i = 0; i < length; ++i) {
      batch.ids.push_back(static_cast<int32_t>(random.Below(static_cast<uint64_t>(vocabulary))));
      batch.positions.push_back(static_cast<int32_t>(i));
      batch.targets.push_back(static_cast<int32_t>(random.Below(static_cast<uint64_t>(vocabulary))));
      batch.weights.push_back(1.f);
    }
    batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
  }
  return batch;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string shape = argc > 1 ? argv[1] : "nano";
  ThreadPool pool(argc > 2 ? std::atoi(argv[2]) : 0);
  const int steps = argc > 3 ? std::max(std::atoi(argv[3]), 1) : 20;
  OptimizerConfig optimizer;
  optimizer.optimizer = argc > 4 ? argv[4] : "adamw";
  const ModelConfig config = Shape(shape);
  Decoder decoder(config, DType::kF32, true);
  decoder.params().Initialise(config, 1);
  Trainer trainer(decoder, {KernelsFor("cpu"), pool}, optimizer, int64_t{16} << 30);
  const std::vector<Batch> batches = {RandomTokens(8, 256, config.vocab_size, 1)};
  const double weight = TotalWeight(batches);
  double best = 1e30, total = 0;
  for (int step = 0; step < steps + 2; ++step) {
    const double start = WallSeconds();
    trainer.Step(batches,
                 [&](const ObjectiveInput& input, std::span<float> seeds) {
                   return CrossEntropy(input.rows, input.batch.weights, input.logprobs, weight, seeds);
                 },
                 {.lr = 1e-3, .bias_update_rate = 1e-3});
    const double seconds = WallSeconds() - start;
    if (step < 2) continue;  // memory is touched for the first time
    best = std::min(best, seconds);
    total += seconds;
  }
  const double tokens = static_cast<double>(batches[0].tokens());
  const double flops = 3 * ForwardFlopsPerToken(config, 128, false);
  std::printf(
      "{\"peer\": \"sputnik\", \"shape\": \"%s\", \"threads\": %d, \"optimizer\": \"%s\", \"tokens_per_second\": %.0f, "
      "\"best_tokens_per_second\": %.0f, \"peak_share\": %.3f}\n",
      shape.c_str(), pool.size(), optimizer.optimizer.c_str(), tokens * steps / total, tokens / best,
      flops * tokens / best / MeasurePeakFlops(pool));
}
