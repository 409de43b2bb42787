#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sputnik {
namespace {

// Long enough to bridge the gap between two kernels, short enough not to hurt other processes on shared cores.
constexpr int kSpins = 4000;

// The pool and the worker whose task this thread is in, for calls from within a task.
struct Inside {
  const ThreadPool* pool = nullptr;
  int worker = 0;
};
thread_local Inside inside;

class InsideScope {
 public:
  InsideScope(const ThreadPool* pool, int worker) : outer_(std::exchange(inside, {pool, worker})) {}
  ~InsideScope() { inside = outer_; }
  InsideScope(const InsideScope&) = delete;
  InsideScope& operator=(const InsideScope&) = delete;

 private:
  Inside outer_;
};

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int ThreadPool::AvailableProcessors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quota_file >> quota >> period && quota != "max" && period > 0) {
    count = std::min(count, static_cast<int>(std::stod(quota) / period + 0.5));
  }
  return std::max(count, 1);
}

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = AvailableProcessors();
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { WorkerLoop(worker); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunTasks(int worker) {
  const InsideScope scope(this, worker);
  try {
    for (;;) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= tasks_) break;
      (*task_)(i, worker);
    }
  } catch (...) {
    next_.store(tasks_, std::memory_order_relaxed);
    if (!failed_.exchange(true, std::memory_order_relaxed)) failure_ = std::current_exception();
  }
}

void ThreadPool::RunInPlace(int64_t tasks, int worker, FunctionRef<void(int64_t, int)> task) {
  const InsideScope scope(this, worker);
  for (int64_t i = 0; i < tasks; ++i) task(i, worker);
}

void ThreadPool::ParallelFor(int64_t tasks, FunctionRef<void(int64_t, int)> task) {
  if (tasks <= 0) return;
  if (inside.pool != nullptr || workers_.empty() || tasks == 1) {
    return RunInPlace(tasks, inside.pool == this ? inside.worker : 0, task);
  }
  // The round is closed and empty, so no worker looks at these.
  task_ = &task;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  gate_.store(kOpen, std::memory_order_seq_cst);
  round_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) round_.notify_all();
  RunTasks(0);
  // Every task is taken now. Only workers that took one are waited for, not those that are still asleep.
  gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spin = 0; spin < kSpins && gate_.load(std::memory_order_acquire) != 0; ++spin) Pause();
  for (uint32_t left = gate_.load(std::memory_order_acquire); left != 0; left = gate_.load(std::memory_order_acquire)) {
    gate_.wait(left, std::memory_order_acquire);
  }
  if (failed_.load(std::memory_order_relaxed)) {
    failed_.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void ThreadPool::WorkerLoop(int worker) {
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == seen; ++spin) Pause();
    while (round_.load(std::memory_order_seq_cst) == seen) {
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      round_.wait(seen, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = round_.load(std::memory_order_seq_cst);
    if (stop_.load()) return;
    if (!EnterRound()) continue;  // it ended without this worker
    RunTasks(worker);
    // The last one to leave a closed round wakes the caller.
    if (gate_.fetch_sub(1, std::memory_order_acq_rel) == 1) gate_.notify_all();
  }
}

bool ThreadPool::EnterRound() {
  uint32_t gate = gate_.load(std::memory_order_acquire);
  while ((gate & kOpen) != 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

}  // namespace sputnik
