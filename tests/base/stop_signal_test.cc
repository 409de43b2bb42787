#include "base/stop_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace sputnik {
namespace {

// Signals change the whole process, so each test runs in a child whose exit code is looked at.
template <class Action>
int ExitCodeOf(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    InstallStopSignals();
    action();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

TEST(StopSignal, TheFirstOneOnlySetsTheFlag) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(ExitCodeOf([signal] {
                if (StopRequested()) ::_exit(9);
                ::raise(signal);
                ::_exit(StopRequested() ? 42 : 8);
              }),
              42);
  }
  EXPECT_FALSE(StopRequested());
}

TEST(StopSignal, TheSecondOneEndsTheProcessWith130) {
  EXPECT_EQ(ExitCodeOf([] {
              ::raise(SIGTERM);
              ::raise(SIGINT);
            }),
            130);
}

TEST(StopSignal, AnAnsweredRequestCanBeForgotten) {
  EXPECT_EQ(ExitCodeOf([] {
              ::raise(SIGINT);
              ClearStopRequest();
              if (StopRequested()) ::_exit(9);
              ::raise(SIGINT);
              ::_exit(StopRequested() ? 42 : 8);
            }),
            42);
}

TEST(StopSignal, InterruptedReadsGoOnAndErrnoIsKept) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(ExitCodeOf([&] {
              const pid_t reader = ::getpid();
              if (::fork() == 0) {
                ::usleep(50'000);
                ::kill(reader, SIGTERM);
                ::usleep(50'000);
                [[maybe_unused]] const ssize_t sent = ::write(ends[1], "x", 1);
                ::_exit(0);
              }
              errno = 77;
              char byte = 0;
              const ssize_t got = ::read(ends[0], &byte, 1);
              ::_exit(got == 1 && byte == 'x' && errno == 77 && StopRequested() ? 42 : 8);
            }),
            42);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(StopSignal, SaysWhatHappens) {
  testing::internal::CaptureStderr();
  ExitCodeOf([] { ::raise(SIGINT); });
  EXPECT_NE(testing::internal::GetCapturedStderr().find("Once more stops at once"), std::string::npos);
}

TEST(StopSignal, AnInterruptAloneIsTakenInSilence) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(ExitCodeOf([] {
              InstallInterruptSignal();
              ::raise(SIGINT);
              ::_exit(StopRequested() ? 42 : 8);
            }),
            42);
  EXPECT_EQ(ExitCodeOf([] {
              ::signal(SIGTERM, SIG_DFL);
              InstallInterruptSignal();
              ::raise(SIGTERM);
            }),
            256 + SIGTERM);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace sputnik
