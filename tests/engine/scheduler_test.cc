#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <set>

#include "base/random.h"

namespace sputnik {
namespace {

// Sequences whose tokens come from no model: token i of request r is a function of both.
class Simulation {
 public:
  Simulation(const SchedulerOptions& options, int64_t pages, bool prefix_cache)
      : options_(options), pool_(pages, prefix_cache), scheduler_(options, pool_), positions_(4096) {
    std::iota(positions_.begin(), positions_.end(), 0);
  }

  // Requests of one `text` have the same tokens.
  int64_t Submit(int64_t prompt, int64_t tokens, int64_t samples = 1, int32_t text = 0) {
    Request& request = *requests_.emplace_back(std::make_unique<Request>());
    request.prompt.resize(static_cast<size_t>(prompt));
    std::iota(request.prompt.begin(), request.prompt.end(), 1000 * text);
    request.max_tokens = tokens;
    request.samples = samples;
    const auto id = static_cast<int64_t>(requests_.size()) - 1;
    sequences_.push_back(std::make_unique<Sequence>(id, request, positions_, pool_.pages() * kKeyBlock));
    scheduler_.Add(sequences_.back().get());
    return id;
  }

  // One step; false when there was nothing to do.
  bool Step() {
    const StepPlan& plan = scheduler_.Plan();
    if (plan.chunks.empty()) return false;
    CheckPlan(plan);
    std::vector<Sequence*> complete;
    for (const auto& [s, tokens] : plan.chunks) {
      if (tokens == s->remaining()) complete.push_back(s);
    }
    scheduler_.Commit();
    for (Sequence* s : complete) {
      std::vector<Sequence*> group = {s};
      const int64_t forks = std::exchange(s->forks, 0);
      for (int64_t i = 1; i <= forks; ++i) {
        sequences_.push_back(std::make_unique<Sequence>(*s, i));
        group.push_back(sequences_.back().get());
        scheduler_.Fork(*s, group.back());
      }
      for (Sequence* each : group) {
        each->Append(static_cast<int32_t>(each->length() + 100000 * each->sample), 0);
        if (!each->full()) continue;
        scheduler_.Remove(each);
        finished_.emplace_back(each->request_id, each->sample);
      }
    }
    ++steps_;
    return true;
  }

  // Every planned token fits the step and has a page that nobody else writes or, being written, reads.
  void CheckPlan(const StepPlan& plan) const {
    int64_t tokens = 0;
    std::set<int32_t> written;
    std::set<Sequence*> seen;
    for (const auto& [s, count] : plan.chunks) {
      tokens += count;
      EXPECT_GE(count, 1);
      EXPECT_LE(count, options_.prefill_chunk);
      EXPECT_LE(count, s->remaining());
      EXPECT_TRUE(seen.insert(s).second) << "planned twice";
      EXPECT_TRUE(s->running);
      for (int64_t page = s->computed / kKeyBlock; page <= (s->computed + count - 1) / kKeyBlock; ++page) {
        ASSERT_LT(static_cast<size_t>(page), s->pages.size());
        const int32_t number = s->pages[static_cast<size_t>(page)];
        EXPECT_EQ(pool_.references(number), 1);
        EXPECT_TRUE(written.insert(number).second);
      }
    }
    EXPECT_LE(tokens, options_.max_batch_tokens);
    EXPECT_LE(static_cast<int64_t>(plan.chunks.size()), options_.max_sequences);
  }

  bool HasFinished(int64_t request) const {
    return std::any_of(finished_.begin(), finished_.end(), [&](const auto& done) { return done.first == request; });
  }

  SchedulerOptions options_;
  BlockPool pool_;
  Scheduler scheduler_;
  std::vector<int32_t> positions_;
  std::vector<std::unique_ptr<Request>> requests_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<std::pair<int64_t, int64_t>> finished_;  // (request, sample)
  int64_t steps_ = 0;
};

TEST(Scheduler, DecodesEveryRunningSequenceInEachStep) {
  Simulation s({.max_batch_tokens = 64, .prefill_chunk = 64, .max_sequences = 8}, 100, false);
  for (int i = 0; i < 8; ++i) s.Submit(5, 10);
  while (s.Step()) {
  }
  EXPECT_EQ(s.finished_.size(), 8u);
  EXPECT_EQ(s.steps_, 10);
  EXPECT_EQ(s.pool_.available(), 100);
}

TEST(Scheduler, AShortRequestPassesALongPrompt) {
  for (const int64_t longs : {1, 6}) {
    Simulation s({.max_batch_tokens = 128, .prefill_chunk = 64, .max_sequences = 16}, 1000, false);
    for (int64_t i = 0; i < longs; ++i) s.Submit(2000, 2);
    for (int i = 0; i < 3; ++i) s.Step();
    const int64_t id = s.Submit(20, 3);
    for (int i = 0; i < 3; ++i) s.Step();
    EXPECT_TRUE(s.HasFinished(id)) << longs << " long prompts";
    EXPECT_EQ(s.finished_.size(), 1u);
  }
}

TEST(Scheduler, ALongPromptIsNotStarvedByShortOnes) {
  Simulation s({.max_batch_tokens = 32, .prefill_chunk = 32, .max_sequences = 16}, 1000, false);
  s.Submit(640, 1);
  while (!s.HasFinished(0)) {
    for (int i = 0; i < 3; ++i) s.Submit(20, 1);  // more than fits beside it
    s.Step();
    ASSERT_LT(s.steps_, 45) << "half of each step is the oldest prompt's";
  }
}

TEST(Scheduler, SharesAPromptAmongSamples) {
  Simulation s({.max_batch_tokens = 64, .prefill_chunk = 64, .max_sequences = 16}, 40, false);
  s.Submit(37, 4, 5);
  s.Step();
  EXPECT_EQ(s.scheduler_.running(), 5);
  EXPECT_EQ(s.pool_.available(), 40 - 3) << "three pages hold the prompt of all five";
  s.Step();
  EXPECT_EQ(s.pool_.available(), 40 - 2 - 5) << "the last page, partly filled, now is each one's own";
  while (s.Step()) {
  }
  EXPECT_EQ(s.finished_.size(), 5u);
  EXPECT_EQ(s.pool_.available(), 40);
}

TEST(Scheduler, SamplesBeyondThePlacesWait) {
  Simulation s({.max_batch_tokens = 64, .prefill_chunk = 64, .max_sequences = 2}, 40, true);
  s.Submit(37, 4, 7);
  while (s.Step()) {
  }
  EXPECT_EQ(s.finished_.size(), 7u);
  EXPECT_EQ(s.pool_.available(), 40);
  EXPECT_GE(s.scheduler_.found_tokens(), 32) << "their prompt was remembered";
}

TEST(Scheduler, TheYoungestGivesWay) {
  // Each grows to four pages; three have room at first but not in the end.
  Simulation s({.max_batch_tokens = 64, .prefill_chunk = 64, .max_sequences = 4}, 9, false);
  for (int i = 0; i < 3; ++i) s.Submit(10, 50);
  while (s.Step()) {
  }
  EXPECT_GT(s.scheduler_.preemptions(), 0);
  ASSERT_EQ(s.finished_.size(), 3u);
  EXPECT_EQ(s.finished_[0].first, 0);
  EXPECT_EQ(s.finished_.back().first, 2);
  EXPECT_EQ(s.pool_.available(), 9);
}

TEST(Scheduler, OneSequenceMayFillTheWholeCache) {
  Simulation s({.max_batch_tokens = 64, .prefill_chunk = 64, .max_sequences = 4}, 4, true);
  for (int i = 0; i < 3; ++i) s.Submit(40, 100, 2, i);
  while (s.Step()) {
  }
  EXPECT_EQ(s.finished_.size(), 6u);
  EXPECT_EQ(s.pool_.available(), 4);
}

TEST(Scheduler, FindsPrefixesButComputesTheLastToken) {
  Simulation s({.max_batch_tokens = 256, .prefill_chunk = 256, .max_sequences = 4}, 40, true);
  s.Submit(48, 2);
  while (s.Step()) {
  }
  EXPECT_EQ(s.scheduler_.found_tokens(), 0);
  s.Submit(48, 2);
  while (s.Step()) {
  }
  EXPECT_EQ(s.scheduler_.found_tokens(), 32) << "the third page holds the token that must be computed";
  s.Submit(49, 2);
  while (s.Step()) {
  }
  EXPECT_EQ(s.scheduler_.found_tokens(), 32 + 48);
  s.Submit(48, 2, 1, 7);
  while (s.Step()) {
  }
  EXPECT_EQ(s.scheduler_.found_tokens(), 32 + 48) << "another text";
}

TEST(Scheduler, EveryMixFinishesAndGivesEverythingBack) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed, kStreamTest);
    const auto pages = static_cast<int64_t>(6 + random.Below(60));
    const auto places = static_cast<int64_t>(1 + random.Below(20));
    Simulation s({.max_batch_tokens = static_cast<int64_t>(1 + random.Below(100)),
                  .prefill_chunk = static_cast<int64_t>(1 + random.Below(40)),
                  .max_sequences = places},
                 pages, random.Below(2) == 0);
    size_t expected = 0;
    const auto submit = [&] {
      const auto samples = static_cast<int64_t>(1 + random.Below(5));
      s.Submit(static_cast<int64_t>(1 + random.Below(70)), static_cast<int64_t>(1 + random.Below(40)), samples,
               static_cast<int32_t>(random.Below(4)));
      expected += static_cast<size_t>(samples);
    };
    for (int i = 0; i < 10; ++i) submit();
    for (int i = 0; i < 30; ++i) {
      s.Step();
      submit();
      if (random.Below(15) == 0) {
        s.scheduler_.PreemptAll();
        s.pool_.DropPrefixes();
      }
      if (::testing::Test::HasFailure()) FAIL() << "seed " << seed;
    }
    while (s.Step()) ASSERT_LT(s.steps_, 100000);
    EXPECT_EQ(s.finished_.size(), expected);
    EXPECT_EQ(s.pool_.available(), pages);
    EXPECT_EQ(s.scheduler_.running() + s.scheduler_.waiting(), 0);
  }
}

}  // namespace
}  // namespace sputnik
