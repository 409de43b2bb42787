// Continuous batching (Yu and others, OSDI 2022) over paged caches (Kwon and others, arXiv 2309.06180): which tokens of
// which sequences go through the model next. Every step takes one token of each sequence that is generating, then fills
// up with pieces of prompts. Nothing here changes what a sequence says, only when.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "engine/block_pool.h"
#include "engine/sequence.h"

namespace sputnik {

struct SchedulerOptions {
  int64_t max_batch_tokens = 2048;  // of one step
  int64_t prefill_chunk = 512;      // of one sequence in one step
  int64_t max_sequences = 1024;     // that hold pages at once
};

// What one step computes.
struct StepPlan {
  struct Chunk {
    Sequence* sequence = nullptr;
    int64_t tokens = 0;  // from sequence->computed on; the pages are there
  };
  std::vector<Chunk> chunks;
  std::vector<std::pair<int32_t, int32_t>> copies;  // pages to copy first, in order: (from, to)
};

class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, BlockPool& pool) : options_(options), pool_(pool) {}

  // A new sequence, or one whose pages were given up. Sequences stay the caller's, until Remove.
  void Add(Sequence* sequence);
  // A sample of `parent`, whose prompt has just been computed: shares its pages if it may run now, else waits.
  void Fork(const Sequence& parent, Sequence* child);
  // Finished or cancelled: gives up pages and place.
  void Remove(Sequence* sequence);
  // Everything is computed again from the start, as after a change of weights.
  void PreemptAll();

  // The next step; empty only when there is no sequence. The plan is good until the next call.
  const StepPlan& Plan();
  // The planned chunks have been computed: their full pages can be shared from now on.
  void Commit();

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t preemptions() const { return preemptions_; }
  int64_t found_tokens() const { return found_tokens_; }  // taken from the prefix cache instead of computed

 private:
  int64_t Places() const;
  bool MakeRoom(Sequence* sequence);
  int32_t AllocateFor(Sequence* sequence);
  void Preempt(Sequence* sequence);
  void ReleasePages(Sequence* sequence);
  void Admit();
  bool TryStart(Sequence* sequence);
  void FindPrefix(Sequence* sequence);
  void PlanPrompts(int64_t budget);
  void PublishPages(Sequence* sequence);
  BlockPool::Block BlockOf(const Sequence& sequence, int64_t page) const;

  SchedulerOptions options_;
  BlockPool& pool_;
  std::vector<Sequence*> running_;  // oldest first
  std::deque<Sequence*> waiting_;   // oldest first
  std::vector<Sequence*> prompts_;
  StepPlan plan_;
  int64_t preemptions_ = 0, found_tokens_ = 0;
};

}  // namespace sputnik
