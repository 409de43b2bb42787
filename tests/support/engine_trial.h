// Requests of every kind for an engine, what comes back compared to the last bit, and the log-probabilities that a
// trainer computes for the same tokens.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "kernel/backend.h"
#include "model/decoder.h"
#include "tensor/arena.h"

namespace sputnik {

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

inline std::vector<int32_t> RandomIds(int64_t count, uint64_t seed) {
  Random random(seed, kStreamTest);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.Below(37)));
  return ids;
}

// Requests of every kind; one in three begins like others do.
inline std::vector<Request> MixedRequests(int64_t count, uint64_t seed, bool one_temperature = false) {
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
inline void ExpectSame(const Completion& a, const Completion& b) {
  EXPECT_EQ(a.sample, b.sample);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs);
  EXPECT_EQ(a.top, b.top);
  EXPECT_EQ(a.reason, b.reason);
}
inline void ExpectSame(const std::vector<Completion>& a, const std::vector<Completion>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].request, b[i].request);
    ExpectSame(a[i], b[i]);
    ASSERT_FALSE(testing::Test::HasFailure()) << what << ", completion " << i;
  }
}

// What a trainer computes: whole sequences, several in a batch, without a cache. Returns the log-probabilities of the
// completions' tokens, and of the prompts' at places where `prompts` says so.
inline std::vector<std::vector<float>> Rescore(const Decoder& decoder, const Machine& machine,
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
}  // namespace sputnik
