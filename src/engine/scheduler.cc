#include "engine/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace sputnik {
namespace {

int64_t PagesFor(int64_t tokens) { return (tokens + kKeyBlock - 1) / kKeyBlock; }

bool Older(const Sequence* a, const Sequence* b) { return a->older_than(*b); }

template <class Queue>
void InsertByAge(Queue& queue, Sequence* sequence) {
  queue.insert(std::upper_bound(queue.begin(), queue.end(), sequence, Older), sequence);
}

template <class Queue>
void EraseFrom(Queue& queue, const Sequence* sequence) {
  const auto place = std::lower_bound(queue.begin(), queue.end(), sequence, Older);
  CHECK(place != queue.end() && *place == sequence);
  queue.erase(place);
}

}  // namespace

// Every running sequence must get at least a token into a step, or one could wait for ever.
int64_t Scheduler::Places() const { return std::min(options_.max_sequences, options_.max_batch_tokens); }

void Scheduler::Add(Sequence* sequence) {
  CHECK(sequence->pages.empty() && !sequence->running);
  InsertByAge(waiting_, sequence);
}

void Scheduler::Fork(const Sequence& parent, Sequence* child) {
  CHECK(parent.running && parent.computed == parent.prompt_length());
  if (running() >= Places()) return Add(child);
  for (const int32_t page : parent.pages) pool_.Share(page);
  child->pages = parent.pages;
  child->computed = parent.computed;
  child->shared_pages = parent.shared_pages;
  child->prefix = parent.prefix;
  child->running = true;
  InsertByAge(running_, child);
}

void Scheduler::ReleasePages(Sequence* sequence) {
  // Last pages first: of what the prefix cache keeps, ends are forgotten before beginnings.
  while (!sequence->pages.empty()) {
    pool_.Release(sequence->pages.back());
    sequence->pages.pop_back();
  }
  sequence->computed = sequence->shared_pages = 0;
  sequence->prefix = 0;
}

void Scheduler::Remove(Sequence* sequence) {
  if (sequence->running) {
    EraseFrom(running_, sequence);
  } else {
    EraseFrom(waiting_, sequence);
  }
  ReleasePages(sequence);
  sequence->running = false;
}

void Scheduler::Preempt(Sequence* sequence) {
  EraseFrom(running_, sequence);
  ReleasePages(sequence);
  sequence->running = false;
  InsertByAge(waiting_, sequence);
}

void Scheduler::PreemptAll() {
  while (!running_.empty()) Preempt(running_.back());
}

// A page for a running sequence, at the cost of younger ones; kNoPage when it had to give way itself.
int32_t Scheduler::AllocateFor(Sequence* sequence) {
  for (;;) {
    const int32_t page = pool_.Allocate();
    if (page != BlockPool::kNoPage) return page;
    Sequence* youngest = running_.back();
    // Alone with the whole cache, a sequence fits: requests that don't are refused.
    CHECK(running_.size() > 1);
    Preempt(youngest);
    ++preemptions_;
    if (youngest == sequence) return BlockPool::kNoPage;
  }
}

// A page of its own for the next token.
bool Scheduler::MakeRoom(Sequence* sequence) {
  const auto index = static_cast<size_t>(sequence->computed / kKeyBlock);
  if (index == sequence->pages.size()) {
    const int32_t page = AllocateFor(sequence);
    if (page != BlockPool::kNoPage) sequence->pages.push_back(page);
    return page != BlockPool::kNoPage;
  }
  if (pool_.references(sequence->pages[index]) == 1) return true;
  const int32_t copy = AllocateFor(sequence);
  if (copy == BlockPool::kNoPage) return false;
  int32_t& shared = sequence->pages[index];
  plan_.copies.emplace_back(shared, copy);
  pool_.Release(shared);
  shared = copy;
  return true;
}

BlockPool::Block Scheduler::BlockOf(const Sequence& s, int64_t page) const {
  const auto begin = static_cast<size_t>(page * kKeyBlock), size = static_cast<size_t>(kKeyBlock);
  return {.prefix = s.prefix,
          .salt = s.request->cache_salt,
          .tokens = std::span(s.tokens).subspan(begin, size),
          .positions = std::span(*s.positions).subspan(begin, size)};
}

void Scheduler::FindPrefix(Sequence* s) {
  if (s->score_prompt) return;  // every token's output is wanted
  // The last token is always computed: what follows it is wanted.
  while ((s->shared_pages + 1) * kKeyBlock < s->length()) {
    const BlockPool::Found found = pool_.Find(BlockOf(*s, s->shared_pages));
    if (found.page == BlockPool::kNoPage) return;
    s->pages.push_back(found.page);
    s->prefix = found.prefix;
    s->computed = ++s->shared_pages * kKeyBlock;
  }
}

// Gives a waiting sequence pages for all the tokens it has, if that leaves every running one a page to grow into and
// one for each sample still to come: admitting more would only end in preemption.
bool Scheduler::TryStart(Sequence* s) {
  FindPrefix(s);
  const int64_t needed = PagesFor(s->length()) - static_cast<int64_t>(s->pages.size());
  const int64_t spare = running_.empty() ? 0 : running() + 1 + s->forks;
  if (pool_.available() < needed + spare) {
    ReleasePages(s);
    return false;
  }
  found_tokens_ += s->computed;
  for (int64_t i = 0; i < needed; ++i) s->pages.push_back(pool_.Allocate());
  s->running = true;
  return true;
}

void Scheduler::Admit() {
  int64_t places = Places() - running();
  for (const Sequence* s : running_) places -= s->forks;
  while (!waiting_.empty()) {
    Sequence* s = waiting_.front();
    if (!running_.empty() && places < 1 + s->forks) return;
    if (!TryStart(s)) return;
    places -= 1 + s->forks;
    waiting_.pop_front();
    InsertByAge(running_, s);
    prompts_.push_back(s);
  }
}

// Divides what is left of the step among sequences with more to catch up with than a token. The oldest goes first, with
// at most half, so that it always moves on; then those with the least to do, so that a short prompt does not wait for a
// long one.
void Scheduler::PlanPrompts(int64_t budget) {
  if (prompts_.empty()) return;
  std::iter_swap(prompts_.begin(), std::min_element(prompts_.begin(), prompts_.end(), Older));
  std::sort(prompts_.begin() + 1, prompts_.end(), [](const Sequence* a, const Sequence* b) {
    return a->remaining() != b->remaining() ? a->remaining() < b->remaining() : a->older_than(*b);
  });
  for (size_t i = 0; i < prompts_.size() && budget > 0; ++i) {
    const bool share = i == 0 && prompts_.size() > 1;
    const int64_t most = share ? std::max<int64_t>(1, budget / 2) : budget;
    const int64_t tokens = std::min({prompts_[i]->remaining(), options_.prefill_chunk, most});
    plan_.chunks.push_back({prompts_[i], tokens});
    budget -= tokens;
  }
}

const StepPlan& Scheduler::Plan() {
  plan_.chunks.clear();
  plan_.copies.clear();
  prompts_.clear();
  const int64_t preempted_before = preemptions_;
  // Room is made at the cost of the youngest, which come later in this loop and so are not planned yet.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence* s = running_[i];
    if (s->remaining() > 1) {
      prompts_.push_back(s);
    } else if (MakeRoom(s)) {
      plan_.chunks.push_back({s, 1});
    }
  }
  if (preemptions_ == preempted_before) Admit();
  PlanPrompts(options_.max_batch_tokens - static_cast<int64_t>(plan_.chunks.size()));
  CHECK(!plan_.chunks.empty() || (running_.empty() && waiting_.empty()));
  return plan_;
}

void Scheduler::PublishPages(Sequence* s) {
  while (s->shared_pages != Sequence::kNeverShared && (s->shared_pages + 1) * kKeyBlock <= s->computed) {
    s->prefix = pool_.Publish(BlockOf(*s, s->shared_pages), s->pages[static_cast<size_t>(s->shared_pages)]);
    s->shared_pages = s->prefix == 0 ? Sequence::kNeverShared : s->shared_pages + 1;
  }
}

void Scheduler::Commit() {
  for (const StepPlan::Chunk& chunk : plan_.chunks) {
    chunk.sequence->computed += chunk.tokens;
    CHECK_LE(chunk.sequence->computed, chunk.sequence->length());
    PublishPages(chunk.sequence);
  }
}

}  // namespace sputnik
