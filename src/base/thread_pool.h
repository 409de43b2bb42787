// A fixed set of worker threads that run the same numbered tasks together with the caller.
// Tasks must write disjoint outputs: which thread runs which task is not fixed, so nothing may depend on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace sputnik {

// A non-owning reference to a callable; valid only while the callable lives.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(F&& f)  // NOLINT: implicit on purpose, as a lambda is passed
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(args...);
        }) {}
  R operator()(Args... args) const { return call_(object_, args...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ThreadPool {
 public:
  // `threads` counts the caller, so 1 starts no thread. 0 means one per processor this process may run on.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs task(i, worker) for every i in [0, tasks), worker in [0, size()), and returns when all are done; no two tasks
  // with the same worker run at once. Called from one thread at a time; calls from within a task run in place, one
  // after another, as that task's worker. If tasks throw, the first exception is thrown on to the caller after the
  // round; tasks that had not started by then are left out.
  void ParallelFor(int64_t tasks, FunctionRef<void(int64_t task, int worker)> task);

  // Processors this process may run on (affinity mask, then cgroup quota).
  static int AvailableProcessors();

 private:
  static constexpr uint32_t kOpen = uint32_t{1} << 31;

  void WorkerLoop(int worker);
  bool EnterRound();
  void RunTasks(int worker);
  void RunInPlace(int64_t tasks, int worker, FunctionRef<void(int64_t, int)> task);

  std::vector<std::thread> workers_;
  // Of the round: written by the caller while the gate is closed and nobody is inside.
  const FunctionRef<void(int64_t, int)>* task_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};    // the first task that nobody has taken
  std::atomic<uint32_t> gate_{0};   // how many workers are inside the round, and kOpen while more may enter
  std::atomic<uint32_t> round_{0};  // every change starts a round
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};  // the first task that throws sets it and writes failure_
  std::exception_ptr failure_;
};

}  // namespace sputnik
