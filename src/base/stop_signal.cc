#include "base/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {
namespace {

// The one place in this program that must be global: a signal handler is given nothing to reach it by.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

// Calls only what POSIX lists as safe in a handler: write and _exit.
void OnInterrupt(int /*signal*/) {
  if (stop_requested.exchange(true)) ::_exit(static_cast<int>(ExitCode::kInterrupted));
}

void OnStopSignal(int signal) {
  OnInterrupt(signal);
  const int saved_errno = errno;
  constexpr std::string_view kNotice = "\nStopping as soon as it is safe. Once more stops at once.\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kNotice.data(), kNotice.size());
  errno = saved_errno;
}

void Install(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  CHECK_EQ(::sigaction(signal, &action, nullptr), 0);
}

}  // namespace

void InstallStopSignals() {
  Install(SIGINT, OnStopSignal);
  Install(SIGTERM, OnStopSignal);
}

void InstallInterruptSignal() { Install(SIGINT, OnInterrupt); }

bool StopRequested() { return stop_requested.load(std::memory_order_relaxed); }
void ClearStopRequest() { stop_requested.store(false); }

}  // namespace sputnik
