// One sequence being generated: the tokens so far and where their keys and values lie. The scheduler moves it between
// waiting and running; the engine adds tokens.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/request.h"

namespace sputnik {

struct Sequence {
  // `request` and `positions` outlive the sequence.
  Sequence(int64_t id, const Request& request, const std::vector<int32_t>& positions, int64_t longest);
  // Sample `index` of the same request, with the prompt alone and nothing computed.
  Sequence(const Sequence& first, int64_t index);
  Sequence(Sequence&&) = delete;

  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
  int64_t generated() const { return length() - prompt_length(); }
  int64_t prompt_length() const { return static_cast<int64_t>(request->prompt.size()); }
  int64_t remaining() const { return length() - computed; }  // tokens yet to go through the model
  bool full() const { return generated() >= most_tokens; }
  bool older_than(const Sequence& other) const {
    return request_id != other.request_id ? request_id < other.request_id : sample < other.sample;
  }

  void Append(int32_t token, float logprob);
  bool StoppedBy(int32_t token) const;
  Completion Finish(FinishReason reason);  // takes the results out

  int64_t request_id = 0, sample = 0;
  const Request* request = nullptr;
  const std::vector<int32_t>* positions = nullptr;
  SamplingOptions sampling;  // with this sample's own seed
  int64_t most_tokens = 0;
  std::vector<int32_t> tokens;  // prompt, then what was generated
  std::vector<float> logprobs;
  std::vector<std::vector<std::pair<int32_t, float>>> top;
  int64_t forks = 0;          // samples still to be split off when the prompt is done
  bool score_prompt = false;  // log-probabilities of the prompt are still wanted

  // In the cache; all of it is given up when the sequence is preempted.
  int64_t computed = 0;  // tokens whose keys and values are there
  std::vector<int32_t> pages;
  static constexpr int64_t kNeverShared = -1;
  int64_t shared_pages = 0;  // leading pages that the prefix cache was told of
  uint64_t prefix = 0;       // the prefix cache's name for those
  bool running = false;
};

}  // namespace sputnik
