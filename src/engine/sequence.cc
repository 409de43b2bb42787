#include "engine/sequence.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace sputnik {

Sequence::Sequence(int64_t id, const Request& asked, const std::vector<int32_t>& places, int64_t longest)
    : request_id(id),
      request(&asked),
      positions(&places),
      sampling(asked.sampling),
      most_tokens(std::min(asked.max_tokens, longest - static_cast<int64_t>(asked.prompt.size()))),
      tokens(asked.prompt),
      forks(asked.samples - 1),
      score_prompt(asked.prompt_logprobs) {
  sampling.seed = HashCombine(asked.sampling.seed, 0);
}

Sequence::Sequence(const Sequence& first, int64_t index)
    : request_id(first.request_id),
      sample(index),
      request(first.request),
      positions(first.positions),
      sampling(first.sampling),
      most_tokens(first.most_tokens),
      tokens(first.request->prompt) {
  sampling.seed = HashCombine(request->sampling.seed, static_cast<uint64_t>(index));
}

void Sequence::Append(int32_t token, float logprob) {
  CHECK(!full());
  tokens.push_back(token);
  logprobs.push_back(logprob);
}

bool Sequence::StoppedBy(int32_t token) const {
  return std::find(request->stop_ids.begin(), request->stop_ids.end(), token) != request->stop_ids.end();
}

Completion Sequence::Finish(FinishReason reason) {
  Completion completion{.request = request_id, .sample = sample};
  completion.positions.assign(positions->begin(), positions->begin() + length());
  completion.tokens.assign(tokens.begin() + prompt_length(), tokens.end());
  completion.logprobs = std::move(logprobs);
  completion.top = std::move(top);
  completion.reason = reason;
  return completion;
}

}  // namespace sputnik
