#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "kernel/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

class EngineTest : public testing::Test {
 protected:
  static Decoder MakeDecoder(const ModelConfig& config, uint64_t seed = 1) {
    Decoder decoder(config, DType::kF32, false);
    decoder.params().Initialise(config, seed);
    return decoder;
  }

  std::vector<Completion> RunAll(const Decoder& decoder, const std::vector<Request>& requests,
                                 const EngineOptions& options = {}) {
    Engine engine(decoder, machine_, options);
    return engine.Run(requests);
  }

  ThreadPool pool_{1};
  Machine machine_{KernelsFor("cpu"), pool_};
};

std::vector<int32_t> RandomIds(int64_t count, uint64_t seed) {
  Random random(seed, kStreamTest);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.Below(37)));
  return ids;
}

// Requests of every kind; one in three begins like others do.
std::vector<Request> MixedRequests(int64_t count, uint64_t seed, bool one_temperature = false) {
  Random random(seed, kStreamTest);
  std::vector<Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    Request r;
    if (random.Below(3) == 0) r.prompt = RandomIds(40, 1000 + random.Below(2));
    const std::vector<int32_t> own =
        RandomIds(static_cast<int64_t>(1 + random.Below(30)), HashCombine(seed, static_cast<uint64_t>(i)));
    r.prompt.insert(r.prompt.end(), own.begin(), own.end());
    r.max_tokens = static_cast<int64_t>(1 + random.Below(24));
    r.samples = static_cast<int64_t>(1 + (random.Below(4) == 0 ? random.Below(4) : 0));
    r.sampling.seed = random.Next();
    r.position_seed = random.Next();
    constexpr double kTemperatures[] = {1, 0, 0.7, 1.5};
    r.sampling.temperature = one_temperature ? 0.8 : kTemperatures[random.Below(4)];
    if (random.Below(4) == 0) r.sampling.top_k = 5;
    if (random.Below(4) == 0) r.sampling.top_p = 0.8;
    if (random.Below(4) == 0) r.sampling.min_p = 0.05;
    if (random.Below(2) == 0) r.stop_ids = {static_cast<int32_t>(random.Below(37))};
    if (random.Below(5) == 0) r.top_logprobs = 3;
    r.prompt_logprobs = random.Below(5) == 0;
    requests.push_back(std::move(r));
  }
  return requests;
}

// All but the request's number, to the last bit.
void ExpectSame(const Completion& a, const Completion& b) {
  EXPECT_EQ(a.sample, b.sample);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs);
  EXPECT_EQ(a.top, b.top);
  EXPECT_EQ(a.reason, b.reason);
}
void ExpectSame(const std::vector<Completion>& a, const std::vector<Completion>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].request, b[i].request);
    ExpectSame(a[i], b[i]);
    ASSERT_FALSE(testing::Test::HasFailure()) << what << ", completion " << i;
  }
}

// What a trainer computes: whole sequences, several in a batch, without a cache. Returns the log-probabilities of the
// completions' tokens, and of the prompts' at places where `prompts` says so.
std::vector<std::vector<float>> Rescore(const Decoder& decoder, const Machine& machine,
                                        const std::vector<Request>& requests,
                                        const std::vector<Completion>& completions, double inverse_temperature,
                                        bool prompts = false) {
  std::vector<std::vector<float>> scores;
  Arena arena;
  for (size_t begin = 0; begin < completions.size(); begin += 5) {
    const size_t end = std::min(begin + 5, completions.size());
    Batch batch;
    batch.sequence_start = {0};
    for (size_t c = begin; c < end; ++c) {
      const std::vector<int32_t>& prompt = requests[static_cast<size_t>(completions[c].request)].prompt;
      std::vector<int32_t> ids = prompt;
      ids.insert(ids.end(), completions[c].tokens.begin(), completions[c].tokens.end());
      for (size_t i = 0; i < ids.size(); ++i) {
        const bool wanted = i + 1 < ids.size() && (i + 1 < prompt.size()) == prompts;
        batch.targets.push_back(wanted ? ids[i + 1] : -1);
      }
      batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
      batch.positions.insert(batch.positions.end(), completions[c].positions.begin(), completions[c].positions.end());
      batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
    }
    const ArenaScope scope(arena);
    Pass pass(machine, arena);
    const ForwardResult out = decoder.Forward(pass, batch);
    std::vector<int32_t> rows;
    const LogProbs probs = decoder.TargetLogProbs(pass, out.hidden, batch.targets, &rows, inverse_temperature);
    scores.resize(end);
    size_t c = begin;
    for (size_t i = 0; i < rows.size(); ++i) {
      while (rows[i] >= batch.sequence_start[c - begin + 1]) ++c;
      scores[c].push_back(probs.logprob.as<float>()[i]);
    }
  }
  return scores;
}

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

TEST_F(EngineTest, NeighboursDoNotChangeAnAnswer) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  const std::vector<Request> requests = MixedRequests(200, 3);
  std::vector<Completion> alone;
  {
    Engine engine(decoder, machine_, {.prefix_cache = false});
    for (size_t i = 0; i < requests.size(); ++i) {
      for (Completion& completion : engine.Run({requests[i]})) {
        completion.request = static_cast<int64_t>(i);
        alone.push_back(std::move(completion));
      }
    }
    EXPECT_EQ(engine.stats().found_tokens, 0);
  }
  {
    Engine engine(decoder, machine_);
    std::vector<Completion> batched;
    size_t size = 1;
    for (size_t begin = 0; begin < requests.size(); begin += std::exchange(size, 2 * size % 127)) {  // 1, 2, 4 … 64, 1
      const size_t end = std::min(begin + size, requests.size());
      for (Completion& completion : engine.Run(
               {requests.begin() + static_cast<ptrdiff_t>(begin), requests.begin() + static_cast<ptrdiff_t>(end)})) {
        completion.request += static_cast<int64_t>(begin);
        batched.push_back(std::move(completion));
      }
    }
    ExpectSame(alone, batched, "batches of 1 to 64");
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

TEST_F(EngineTest, SamplesShareOnePrompt) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  // Seven samples of a prompt that ends within a page.
  const std::vector<Request> requests = {
      {.prompt = RandomIds(21, 5), .max_tokens = 30, .samples = 7, .sampling = {.seed = 8}}};
  Engine engine(decoder, machine_, {.prefix_cache = false});
  const std::vector<Completion> shared = engine.Run(requests);
  ASSERT_EQ(shared.size(), 7u);
  EXPECT_EQ(engine.stats().computed_tokens, 21 + 7 * 29) << "the prompt once, and all tokens but the last of each";
  EXPECT_EQ(engine.stats().available_pages, engine.stats().pages);
  ExpectSame(shared, RunAll(decoder, requests, {.max_sequences = 1, .prefix_cache = false}), "one after another");
  for (size_t i = 1; i < shared.size(); ++i) EXPECT_NE(shared[i].tokens, shared[0].tokens);
  Request one = requests[0];
  one.samples = 1;
  ExpectSame(shared[0], RunAll(decoder, {one})[0]);
}

TEST_F(EngineTest, CancellingGivesEverythingBack) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  for (int steps = 0; steps < 12; steps += 2) {
    Engine engine(decoder, machine_, {.cache_tokens = 40 * kKeyBlock, .prefill_chunk = 6});
    std::vector<int64_t> ids;
    int64_t samples = 0;
    for (Request& request : MixedRequests(12, 9)) {
      samples += request.samples;
      ids.push_back(engine.Submit(std::move(request)));
    }
    for (int i = 0; i < steps; ++i) engine.Step();
    for (const int64_t id : ids) engine.Cancel(id);
    engine.Cancel(12345);
    EXPECT_FALSE(engine.Step());
    EXPECT_EQ(engine.stats().available_pages, 40);
    EXPECT_EQ(engine.stats().running + engine.stats().waiting, 0);
    const std::vector<Completion> finished = engine.TakeFinished();
    EXPECT_EQ(static_cast<int64_t>(finished.size()), samples);
    for (const Completion& completion : finished) {
      EXPECT_EQ(completion.tokens.size(), completion.logprobs.size());
      if (steps == 0) {
        EXPECT_EQ(completion.reason, FinishReason::kCancelled);
      }
    }
    EXPECT_TRUE(engine.TakeFinished().empty());
  }
}

TEST_F(EngineTest, ATokenCallbackMaySubmitAndCancel) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  Engine engine(decoder, machine_);
  std::vector<int32_t> heard;
  int64_t second = -1;
  const int64_t first = engine.Submit({.prompt = {1, 2, 3}, .max_tokens = 50, .samples = 2});
  engine.SetTokenCallback([&](int64_t request, int64_t sample, int32_t token, float logprob) {
    EXPECT_LE(logprob, 0);
    if (request == first && sample == 1) heard.push_back(token);
    if (heard.size() == 5 && second < 0) {
      engine.Cancel(first);
      second = engine.Submit({.prompt = {4}, .max_tokens = 3});
    }
  });
  while (engine.Step()) {
  }
  const std::vector<Completion> finished = engine.TakeFinished();
  ASSERT_EQ(finished.size(), 3u);
  EXPECT_EQ(finished[1].sample, 1);
  EXPECT_EQ(finished[1].tokens, heard);
  EXPECT_EQ(finished[1].tokens.size(), 5u);
  EXPECT_EQ(finished[1].reason, FinishReason::kCancelled);
  EXPECT_EQ(finished[2].request, second);
  EXPECT_EQ(finished[2].reason, FinishReason::kLength);
  EXPECT_EQ(engine.stats().available_pages, engine.stats().pages);
}

TEST_F(EngineTest, StopsAtAStopIdAndKeepsIt) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  Request request{.prompt = {3, 1, 4}, .max_tokens = 20};
  const Completion free = RunAll(decoder, {request})[0];
  ASSERT_EQ(free.tokens.size(), 20u);
  EXPECT_EQ(free.reason, FinishReason::kLength);
  request.stop_ids = {free.tokens[9], free.tokens[6]};
  const Completion stopped = RunAll(decoder, {request})[0];
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
  const auto first =
      std::find_first_of(free.tokens.begin(), free.tokens.end(), request.stop_ids.begin(), request.stop_ids.end());
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(free.tokens.begin(), first + 1));
  EXPECT_EQ(stopped.positions.size(), 3 + stopped.tokens.size());
}

TEST_F(EngineTest, EndsAtTheContextOrTheCache) {
  ModelConfig config = TinyConfig();
  const Decoder decoder = MakeDecoder(config);
  for (const auto& [cache_tokens, longest] : {std::pair<int64_t, size_t>{0, 128}, {40, 48}}) {
    const EngineOptions options{.cache_tokens = cache_tokens};
    EXPECT_EQ(Engine(decoder, machine_, options).longest(), static_cast<int64_t>(longest));
    const std::vector<Completion> out =
        RunAll(decoder,
               {{.prompt = RandomIds(30, 2), .max_tokens = int64_t{1} << 60, .samples = 2},
                {.prompt = RandomIds(static_cast<int64_t>(longest), 3), .max_tokens = 4}},
               options);
    EXPECT_EQ(out[0].tokens.size(), longest - 30);
    EXPECT_EQ(out[1].tokens.size(), longest - 30);
    EXPECT_EQ(out[0].reason, FinishReason::kLength);
    EXPECT_TRUE(out[2].tokens.empty());
    EXPECT_EQ(out[2].reason, FinishReason::kLength);
  }
}

TEST_F(EngineTest, NewWeightsForgetOldPrefixes) {
  Decoder decoder = MakeDecoder(TinyConfig());
  const std::vector<Request> requests = MixedRequests(10, 6);
  Engine engine(decoder, machine_);
  engine.Run(requests);
  const std::vector<Completion> before = engine.Run(requests);
  const int64_t unfinished = engine.Submit({.prompt = RandomIds(40, 1), .max_tokens = 30});
  for (int i = 0; i < 5; ++i) engine.Step();
  decoder.params().Initialise(decoder.config(), 2);
  engine.WeightsChanged();
  EXPECT_EQ(engine.stats().cached_pages, 0);
  EXPECT_EQ(engine.stats().available_pages, engine.stats().pages);
  const std::vector<Completion> after = engine.Run(requests);
  ExpectSame(after, RunAll(decoder, requests), "new weights");
  EXPECT_NE(after[0].logprobs, before[0].logprobs);
  const std::vector<Completion> others = engine.TakeFinished();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].request, unfinished);
  EXPECT_EQ(others[0].tokens.size(), 30u);
}

TEST_F(EngineTest, BrokenWeightsAreAnErrorThatLeavesTheEngineWhole) {
  Decoder decoder = MakeDecoder(TinyConfig());
  const std::vector<Request> requests = MixedRequests(6, 8);
  const std::vector<Completion> expected = RunAll(decoder, requests);
  Engine engine(decoder, machine_);
  std::vector<int64_t> ids;
  for (const Request& request : requests) ids.push_back(engine.Submit(request));
  engine.Step();
  engine.Step();
  float& weight = *static_cast<float*>(decoder.params().Get("model.norm.weight").data());
  const float kept = std::exchange(weight, std::numeric_limits<float>::quiet_NaN());
  ExpectError(ExitCode::kNumeric, [&] { engine.Step(); });
  ExpectError(ExitCode::kNumeric, [&] { engine.Step(); });
  weight = kept;
  while (engine.Step()) {
  }
  std::vector<Completion> finished = engine.TakeFinished();
  std::sort(finished.begin(), finished.end(), [](const Completion& a, const Completion& b) {
    return std::pair(a.request, a.sample) < std::pair(b.request, b.sample);
  });
  ExpectSame(expected, finished, "after the error");
}

TEST_F(EngineTest, SaltsKeepPrefixesApart) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  Engine engine(decoder, machine_);
  Request request{.prompt = RandomIds(40, 1), .max_tokens = 1, .cache_salt = 1};
  engine.Run({request});
  request.cache_salt = 2;
  engine.Run({request});
  EXPECT_EQ(engine.stats().found_tokens, 0);
  request.cache_salt = 1;
  engine.Run({request});
  EXPECT_EQ(engine.stats().found_tokens, 32);
}

TEST_F(EngineTest, AlternativesHaveTheChosenTokensBits) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  for (const double temperature : {0.0, 1.0, 0.6}) {
    const Completion out =
        RunAll(decoder,
               {{.prompt = {5, 6}, .max_tokens = 30, .sampling = {.temperature = temperature}, .top_logprobs = 37}})[0];
    ASSERT_EQ(out.top.size(), 30u);
    for (size_t i = 0; i < 30; ++i) {
      ASSERT_EQ(out.top[i].size(), 37u);
      double total = 0;
      bool found = false;
      for (const auto& [token, logprob] : out.top[i]) {
        total += std::exp(static_cast<double>(logprob));
        if (token != out.tokens[i]) continue;
        EXPECT_EQ(logprob, out.logprobs[i]);
        found = true;
      }
      EXPECT_TRUE(found);
      EXPECT_NEAR(total, 1, 1e-5);
      if (temperature == 0) {
        EXPECT_EQ(out.top[i][0].first, out.tokens[i]);
      }
    }
  }
}

TEST_F(EngineTest, ScoresPromptsWithoutGenerating) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  Engine engine(decoder, machine_, {.prefill_chunk = 11});
  const std::vector<Request> requests = {
      {.prompt = RandomIds(50, 1), .max_tokens = 0, .samples = 2, .prompt_logprobs = true},
      {.prompt = {1}, .max_tokens = 0, .prompt_logprobs = true}};
  for (int round = 0; round < 2; ++round) {  // the second finds the prompt cached, and must not use it
    const std::vector<Completion> out = engine.Run(requests);
    ASSERT_EQ(out.size(), 3u);
    EXPECT_TRUE(out[0].tokens.empty());
    EXPECT_EQ(out[0].prompt_logprobs, out[1].prompt_logprobs);
    const auto scores = Rescore(decoder, machine_, requests, out, 1, true);
    EXPECT_EQ(std::vector<float>(out[0].prompt_logprobs.begin() + 1, out[0].prompt_logprobs.end()), scores[0]);
    EXPECT_EQ(out[2].prompt_logprobs, std::vector<float>{0.f});
  }
}

TEST_F(EngineTest, RefusesBadRequestsAndOptions) {
  const Decoder decoder = MakeDecoder(TinyConfig());
  Engine engine(decoder, machine_, {.cache_tokens = 32});
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { engine.Submit({.prompt = {99}}); }), "vocabulary");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { engine.Submit({.prompt = RandomIds(33, 1)}); }), "33 tokens");
  ExpectError(ExitCode::kUsage, [&] { engine.Run({{.prompt = {1}}, {.prompt = {}}}); });
  EXPECT_FALSE(engine.Step()) << "nothing of a refused list is run";
  const auto refused = [&](const EngineOptions& options) {
    return ExpectError(ExitCode::kUsage, [&] { Engine(decoder, machine_, options); });
  };
  EXPECT_MENTIONS(refused({.memory_bytes = 100}), "no page");
  EXPECT_MENTIONS(refused({.cache_tokens = -1}), "cache_tokens");
  EXPECT_MENTIONS(refused({.max_batch_tokens = 0}), "max_batch_tokens");
  EXPECT_MENTIONS(refused({.prefill_chunk = 0}), "prefill_chunk");
  EXPECT_MENTIONS(refused({.max_sequences = -5}), "max_sequences");
}

}  // namespace
}  // namespace sputnik
