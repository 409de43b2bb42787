#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/engine_trial.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

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
