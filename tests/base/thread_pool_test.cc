#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>

namespace sputnik {
namespace {

class ThreadPoolOf : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolOf, RunsEveryIndexExactlyOnce) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.size(), GetParam());
  for (const int64_t tasks : {0, 1, 2, 3, 7, 64, 1000, 20000}) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
    std::atomic<bool> worker_in_range{true};
    pool.ParallelFor(tasks, [&](int64_t i, int worker) {
      runs[static_cast<size_t>(i)].fetch_add(1);
      if (worker < 0 || worker >= pool.size()) worker_in_range = false;
    });
    for (const auto& count : runs) ASSERT_EQ(count.load(), 1) << tasks << " tasks";
    EXPECT_TRUE(worker_in_range);
  }
}

// What a round wrote must be visible to the caller without any other synchronisation.
TEST_P(ThreadPoolOf, ManyTinyRounds) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> sums(5, 0);
  constexpr int64_t kRounds = 100'000;
  for (int64_t round = 0; round < kRounds; ++round) {
    pool.ParallelFor(5, [&](int64_t i, int) { sums[static_cast<size_t>(i)] += round; });
  }
  for (const int64_t sum : sums) EXPECT_EQ(sum, kRounds * (kRounds - 1) / 2);
}

// Rounds that come so late that the workers have gone to sleep.
TEST_P(ThreadPoolOf, WakesFromSleep) {
  ThreadPool pool(GetParam());
  int64_t total = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<int> done(8, 0);
    pool.ParallelFor(8, [&](int64_t i, int) { done[static_cast<size_t>(i)] = 1; });
    for (const int one : done) total += one;
    std::this_thread::sleep_for(std::chrono::microseconds(round % 7 * 200));
  }
  EXPECT_EQ(total, 800);
}

// A worker's task that outlasts the caller's: the caller falls asleep and must be woken.
TEST_P(ThreadPoolOf, WaitsForALateWorker) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> done{0};
    pool.ParallelFor(pool.size(), [&](int64_t, int worker) {
      std::this_thread::sleep_for(std::chrono::milliseconds(worker == 0 ? 1 : 4));
      done.fetch_add(1);
    });
    ASSERT_EQ(done, pool.size());
  }
}

// A nested call runs on its task's worker, so that scratch memory per worker is never shared by two at once.
TEST_P(ThreadPoolOf, NestedCallsRunInPlaceAsTheSameWorker) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> runs(40 * 30);
  std::vector<std::atomic<int>> users(static_cast<size_t>(pool.size()));
  std::atomic<int> clashes{0}, moved{0};
  pool.ParallelFor(40, [&](int64_t outer, int worker) {
    pool.ParallelFor(30, [&](int64_t inner, int nested_worker) {
      if (nested_worker != worker) moved.fetch_add(1);
      auto& user = users[static_cast<size_t>(nested_worker)];
      if (user.fetch_add(1) != 0) clashes.fetch_add(1);
      if (inner == 0) std::this_thread::yield();
      runs[static_cast<size_t>(outer * 30 + inner)].fetch_add(1);
      user.fetch_sub(1);
    });
  });
  for (const auto& count : runs) ASSERT_EQ(count.load(), 1);
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(moved, 0);
}

TEST_P(ThreadPoolOf, PassesAnExceptionOnAndStaysUsable) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 200; ++round) {
    const int64_t culprit = round % 50;
    try {
      pool.ParallelFor(50, [&](int64_t i, int) {
        if (i == culprit) throw std::runtime_error("task " + std::to_string(i));
      });
      FAIL() << "the exception was lost";
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(e.what(), "task " + std::to_string(culprit));
    }
    std::atomic<int> count{0};
    pool.ParallelFor(10, [&](int64_t, int) { count.fetch_add(1); });
    EXPECT_EQ(count, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolOf, testing::Values(1, 2, 3, 4), testing::PrintToStringParamName());

TEST(ThreadPool, UsesAllItsThreads) {
  ThreadPool pool(3);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::set<int> workers;
  // Every task waits until three threads have come, so no thread can take two.
  pool.ParallelFor(3, [&](int64_t, int worker) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (bool all = false; !all && std::chrono::steady_clock::now() < deadline; std::this_thread::yield()) {
      const std::scoped_lock lock(mutex);
      threads.insert(std::this_thread::get_id());
      workers.insert(worker);
      all = threads.size() == 3;
    }
  });
  EXPECT_EQ(threads.size(), 3u);
  EXPECT_EQ(workers, (std::set<int>{0, 1, 2}));
}

TEST(ThreadPool, AnotherPoolInsideATaskRunsInPlace) {
  ThreadPool outer(4), inner(2);
  std::atomic<int> wrong{0}, count{0};
  outer.ParallelFor(16, [&](int64_t, int) {
    inner.ParallelFor(8, [&](int64_t, int worker) {
      if (worker >= inner.size()) wrong.fetch_add(1);
      count.fetch_add(1);
    });
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(count, 128);
}

TEST(ThreadPool, ManyPoolsComeAndGo) {
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(1 + i % 4);
    if (i % 2 == 0) pool.ParallelFor(4, [](int64_t, int) {});
  }
}

TEST(ThreadPool, ZeroMeansTheProcessorsAtHand) {
  EXPECT_GE(ThreadPool::AvailableProcessors(), 1);
  EXPECT_EQ(ThreadPool(0).size(), ThreadPool::AvailableProcessors());
}

}  // namespace
}  // namespace sputnik
