// Runs a model on many requests at once. Tokens, log-probabilities and their bits depend on a request alone: not on
// others in the batch, chunks of prompts, threads, cached prefixes or preemption.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/block_pool.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "op/pass.h"

namespace sputnik {

struct EngineOptions {
  AttentionForm form = AttentionForm::kExpanded;  // the form whose log-probabilities training repeats to the last bit
  int64_t cache_tokens = 0;                       // that the cache holds; 0: as many as memory_bytes allows
  int64_t memory_bytes = int64_t{1} << 30;
  int64_t max_batch_tokens = 2048;  // of one forward
  int64_t prefill_chunk = 512;      // of one prompt in one forward
  int64_t max_sequences = 1024;     // generating at once; more wait
  bool prefix_cache = true;
};

struct EngineStats {
  int64_t steps = 0;
  int64_t computed_tokens = 0;  // that went through the model, recomputed ones included
  int64_t generated_tokens = 0;
  int64_t found_tokens = 0;  // of prompts, found in the prefix cache
  int64_t preemptions = 0;   // sequences that lost their pages for want of memory
  int64_t running = 0, waiting = 0;
  int64_t pages = 0, available_pages = 0, cached_pages = 0;
};

// One thread at a time. The decoder and the machine outlive the engine; weights may change between steps
// (WeightsChanged).
class Engine {
 public:
  // Throws Error (usage) for options that leave no room for one page, (failure) when memory for the cache cannot be
  // had.
  Engine(const Decoder& decoder, const Machine& machine, const EngineOptions& options = {});

  // The most tokens, prompt and completion together, that a sequence may have.
  int64_t longest() const { return longest_; }

  // Queues a request and returns its number. Throws Error (usage) for ids out of range, a prompt that is empty or
  // longer than the context or the cache, or bad sampling options.
  int64_t Submit(Request request);

  // One forward over what is planned; false when there is nothing to do. Throws Error (numeric) when the model's output
  // is not finite: the step has then not happened, and will fail again until the weights change or its requests are
  // cancelled.
  bool Step();

  // What of the request is unfinished ends with kCancelled and gives up its memory. Unknown or finished numbers are
  // fine.
  void Cancel(int64_t request);

  std::vector<Completion> TakeFinished();

  // Called in Step for every token, in a fixed order. May call Submit and Cancel; must not throw.
  void SetTokenCallback(std::function<void(int64_t request, int64_t sample, int32_t token, float logprob)> callback);

  // The decoder's weights are no longer what the cache was computed with. Unfinished sequences keep their tokens and go
  // on with the new weights.
  void WeightsChanged();

  // Submits all and steps until nothing is left to do. Completions are in the order of (request, sample), and their
  // `request` is the index into `requests`.
  std::vector<Completion> Run(std::vector<Request> requests);

  EngineStats stats() const;

 private:
  struct Active {
    Request request;
    std::vector<int32_t> positions;
    std::vector<float> prompt_logprobs;
    std::vector<std::unique_ptr<Sequence>> sequences;  // by sample; null where finished or not split off yet
    int64_t unfinished = 0;
  };
  struct Sampled {
    Sequence* sequence = nullptr;
    int32_t row = 0;  // of the batch
    int32_t token = 0;
    float logprob = 0;
    std::vector<std::pair<int32_t, float>> top = {};
  };

  void BuildBatch(const StepPlan& plan);
  void ScorePrompts(Pass& pass, const StepPlan& plan, const Tensor& hidden);
  void ListSamples(const StepPlan& plan);
  void Sample(Pass& pass, const Tensor& hidden);
  void SampleRows(Pass& pass, const Tensor& hidden, size_t begin, size_t end);
  void Deliver();
  void Finish(Sequence* sequence, FinishReason reason);
  void CancelNow(int64_t request);

  const Decoder& decoder_;
  Machine machine_;
  EngineOptions options_;
  KvCache cache_;
  int64_t longest_;
  BlockPool pool_;
  Scheduler scheduler_;
  Sampler sampler_;
  Arena arena_;
  std::unordered_map<int64_t, std::unique_ptr<Active>> active_;
  int64_t next_request_ = 0;
  std::vector<Completion> finished_;
  std::vector<int64_t> cancelled_;  // asked for while a step was under way
  bool stepping_ = false;
  std::function<void(int64_t, int64_t, int32_t, float)> callback_;
  EngineStats stats_;

  // Of the step under way; members to keep their memory.
  Batch batch_;
  std::vector<int32_t> score_targets_, scored_rows_;
  std::vector<Sampled> samples_;
  std::vector<std::unique_ptr<Sequence>> forks_;
  std::vector<Sequence*> done_;  // complete without a token
};

}  // namespace sputnik
