// Which bits the engine's answers have: the trainer's, whoever else is in the batch.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/engine.h"
#include "tests/support/engine_trial.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

using EngineTestSlow = EngineTest;

TEST_F(EngineTest, ZeroGapToTheTrainersLogProbs) {
  std::vector<ModelConfig> configs(5, TinyConfig());
  configs[1].position_mode = "randomised";
  configs[1].position_range = 100;
  configs[2].position_mode = "none";
  configs[3].q_lora_rank = 0;
  configs[3].scoring_func = "softmax";
  configs[3].topk_method = "group_limited_greedy";
  configs[4].tie_word_embeddings = true;
  configs[4].first_k_dense_replace = 0;
  for (const char* family : {"qwen2", "qwen3", "qwen3_moe", "llama"}) configs.push_back(TinyFamily(family));
  for (const ModelConfig& config : configs) {
    const Decoder decoder = MakeDecoder(config);
    const std::vector<Request> requests = MixedRequests(20, 7, true);
    const std::vector<Completion> completions =
        RunAll(decoder, requests, {.cache_tokens = 320, .max_batch_tokens = 41, .prefill_chunk = 9});
    const auto scores = Rescore(decoder, machine_, requests, completions, 1 / 0.8);
    const auto prompt_scores = Rescore(decoder, machine_, requests, completions, 1, true);
    for (size_t i = 0; i < completions.size(); ++i) {
      EXPECT_EQ(completions[i].logprobs, scores[i]);
      const Request& request = requests[static_cast<size_t>(completions[i].request)];
      if (!request.prompt_logprobs) continue;
      ASSERT_EQ(completions[i].prompt_logprobs.size(), request.prompt.size());
      EXPECT_EQ(completions[i].prompt_logprobs[0], 0);
      EXPECT_EQ(std::vector<float>(completions[i].prompt_logprobs.begin() + 1, completions[i].prompt_logprobs.end()),
                prompt_scores[i]);
    }
  }
}

// Batches of the given sizes, one after another.
std::vector<Completion> RunInBatches(Engine& engine, const std::vector<Request>& requests,
                                     const std::vector<size_t>& sizes) {
  std::vector<Completion> all;
  auto begin = requests.begin();
  for (const size_t size : sizes) {
    const auto end = begin + static_cast<ptrdiff_t>(std::min(size, static_cast<size_t>(requests.end() - begin)));
    for (Completion& completion : engine.Run({begin, end})) {
      completion.request += begin - requests.begin();
      all.push_back(std::move(completion));
    }
    begin = end;
  }
  EXPECT_TRUE(begin == requests.end()) << "not all were run";
  return all;
}

TEST_F(EngineTest, NeighboursDoNotChangeAnAnswer) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  const std::vector<Request> requests = MixedRequests(200, 3);
  std::vector<Completion> alone;
  {
    Engine engine(decoder, machine_, {.prefix_cache = false});
    alone = RunInBatches(engine, requests, std::vector<size_t>(requests.size(), 1));
    EXPECT_EQ(engine.stats().found_tokens, 0);
  }
  {
    Engine engine(decoder, machine_);
    ExpectSame(alone, RunInBatches(engine, requests, {1, 2, 4, 8, 16, 32, 64, 1, 2, 4, 8, 16, 32, 10}), "batches");
    ExpectSame(alone, engine.Run(requests), "again, with cached prefixes");
    EXPECT_GT(engine.stats().found_tokens, 2000);
    EXPECT_EQ(engine.stats().preemptions, 0);
    EXPECT_EQ(engine.stats().available_pages, engine.stats().pages);
  }
  ExpectSame(alone, RunAll(decoder, requests, {.max_batch_tokens = 23, .prefill_chunk = 5, .max_sequences = 17}),
             "chunked prompts");
  for (const int64_t pages : {8, 14}) {
    Engine engine(decoder, machine_, {.cache_tokens = pages * kKeyBlock});
    ExpectSame(alone, engine.Run(requests), "few pages");
    EXPECT_GT(engine.stats().preemptions, 5);
    EXPECT_EQ(engine.stats().available_pages, pages);
  }
  ThreadPool two(2);
  Engine engine(decoder, {machine_.kernels, two}, {.max_batch_tokens = 200});
  ExpectSame(alone, engine.Run(requests), "two threads");
}

// Promise 2 on a model whose work is large enough for threads to share it out; the tiny one's stays on one thread.
TEST_F(EngineTestSlow, OneAnswerInEveryBatchSizeWithOneAndTwoThreads) {
  ModelConfig config = TinyConfig();
  config.hidden_size = 96;
  config.intermediate_size = 200;
  config.moe_intermediate_size = 56;
  config.vocab_size = 700;
  const Decoder decoder = MakeDecoder(config);
  const std::vector<Request> requests = MixedRequests(200, 21);
  const std::vector<size_t> one_each(requests.size(), 1);
  Engine plain(decoder, machine_, {.prefix_cache = false});
  const std::vector<Completion> alone = RunInBatches(plain, requests, one_each);
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    ThreadPool pool(threads);
    const Machine machine{machine_.kernels, pool};
    Engine engine(decoder, machine);
    ExpectSame(alone, RunInBatches(engine, requests, one_each), "alone, behind cached prefixes");
    EXPECT_GT(engine.stats().found_tokens, 1000);
    // Every size from 1 to 64, in a few rounds over all requests.
    size_t size = 1;
    while (size <= 64) {
      std::vector<size_t> sizes;
      for (size_t taken = 0; taken < requests.size(); taken += sizes.back())
        sizes.push_back(std::min<size_t>(size++, 64));
      ExpectSame(alone, RunInBatches(engine, requests, sizes), "batches up to this size");
    }
    for (const bool prefix_cache : {false, true}) {
      Engine chunked(
          decoder, machine,
          {.cache_tokens = 4000, .max_batch_tokens = 150, .prefill_chunk = 13, .prefix_cache = prefix_cache});
      ExpectSame(alone, chunked.Run(requests), "chunked");
      ExpectSame(alone, chunked.Run(requests), "chunked again");
    }
    ExpectSame(alone, Engine(decoder, machine, {.prefix_cache = false}).Run(requests), "all at once");
  }
}

TEST_F(EngineTest, AbsorbedFormIsIndependentOfNeighboursToo) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  const std::vector<Request> requests = MixedRequests(30, 4);
  const std::vector<Completion> plain =
      RunAll(decoder, requests, {.form = AttentionForm::kAbsorbed, .max_sequences = 1, .prefix_cache = false});
  Engine engine(decoder, machine_, {.form = AttentionForm::kAbsorbed, .cache_tokens = 200, .prefill_chunk = 7});
  ExpectSame(plain, engine.Run(requests), "absorbed");
  EXPECT_GT(engine.stats().preemptions, 0);
}

TEST_F(EngineTest, AbsorbedEqualsExpandedWithinABoundFromNorms) {
  const ModelConfig config = TinyConfig();
  const Decoder decoder = MakeDecoder(config);
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 10; ++i) {
    requests.push_back({.prompt = RandomIds(60, i), .max_tokens = 0, .prompt_logprobs = true});
  }
  const std::vector<Completion> expanded = RunAll(decoder, requests);
  const std::vector<Completion> absorbed = RunAll(decoder, requests, {.form = AttentionForm::kAbsorbed});
  // A logit is a head row times a normed vector, |h| = sqrt(hidden size). Each form rounds that vector's terms once per
  // link of the chains on the way, which a relative error of epsilon · links on it bounds; and a log-probability moves
  // by at most twice the largest change of a logit.
  double widest = 0;
  for (int64_t row = 0; row < config.vocab_size; ++row) {
    double squares = 0;
    for (int64_t i = 0; i < config.hidden_size; ++i) {
      const auto w = static_cast<double>(decoder.head().as<float>()[row * decoder.head().stride(0) + i]);
      squares += w * w;
    }
    widest = std::max(widest, std::sqrt(squares));
  }
  const int64_t links =
      config.num_hidden_layers * (config.kv_lora_rank + config.qk_head_dim() + config.v_head_dim + 60);
  const double bound = 2 * widest * std::sqrt(static_cast<double>(config.hidden_size)) * static_cast<double>(links) *
                       static_cast<double>(std::numeric_limits<float>::epsilon());
  double largest = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    for (size_t t = 0; t < 60; ++t) {
      const double difference = std::abs(static_cast<double>(expanded[i].prompt_logprobs[t]) -
                                         static_cast<double>(absorbed[i].prompt_logprobs[t]));
      largest = std::max(largest, difference);
    }
  }
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0) << "the two forms round differently";
  EXPECT_LT(bound, 1e-3);
}
}  // namespace
}  // namespace sputnik
