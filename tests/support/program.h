// The built program, run as a child process: with files in place of its input and output, or on a terminal.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {

inline const std::string kProgramPath = SPUTNIK_BINARY_DIR "/sputnik";

// The exit code, or 256 and the signal that ended it.
inline int WaitForExit(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// In the child: becomes the program.
[[noreturn]] inline void BecomeProgram(const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(kProgramPath.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

// Runs `sputnik arguments...` in `folder` (empty: where the test runs) with `input` as its standard input.
inline Outcome RunProgram(const std::vector<std::string>& arguments, std::string_view input = {},
                          const std::filesystem::path& folder = {}) {
  const TemporaryFolder files;
  const std::string in = files / "in", out = files / "out", err = files / "err";
  std::ofstream(in, std::ios::binary) << input;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto place = [](const std::string& file, int flags, int fd) {
      ::dup2(::open(file.c_str(), flags, 0600), fd);
    };
    place(in, O_RDONLY, STDIN_FILENO);
    place(out, O_WRONLY | O_CREAT, STDOUT_FILENO);
    place(err, O_WRONLY | O_CREAT, STDERR_FILENO);
    if (!folder.empty() && ::chdir(folder.c_str()) != 0) ::_exit(126);
    BecomeProgram(arguments);
  }
  Outcome outcome;
  outcome.code = WaitForExit(child);
  outcome.out = ReadFile(out);
  outcome.err = ReadFile(err);
  return outcome;
}

// A run that must go well; returns what it printed.
inline std::string OutputOf(const std::vector<std::string>& arguments, std::string_view input = {}) {
  const Outcome outcome = RunProgram(arguments, input);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return outcome.out;
}

// A run that must end with `code`; nothing was printed, and the one message on standard error is returned.
inline std::string MessageOf(int code, const std::vector<std::string>& arguments, std::string_view input = {}) {
  const Outcome outcome = RunProgram(arguments, input);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.find("sputnik: error: "), size_t{0}) << outcome.err;
  return outcome.err;
}

// The program as someone at a terminal sees it: one stream of all it writes, and keys that are typed.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& arguments, const std::string& term = "xterm") {
    child_ = ::forkpty(&fd_, nullptr, nullptr, nullptr);
    if (child_ != 0) return;
    ::setenv("TERM", term.c_str(), 1);
    ::unsetenv("NO_COLOR");
    BecomeProgram(arguments);
  }
  ~Terminal() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      WaitForExit(child_);
    }
    ::close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void Type(std::string_view keys) {
    EXPECT_EQ(::write(fd_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  // Waits for `part`, and returns everything since the last wait up to its end. A failure when it does not come.
  std::string Await(std::string_view part) {
    size_t at = 0;
    while ((at = seen_.find(part)) == seen_.npos) {
      if (Fill()) continue;
      ADD_FAILURE() << "the terminal never shows: " << part << "\nbut: " << seen_;
      return {};
    }
    std::string shown = seen_.substr(0, at + part.size());
    seen_.erase(0, shown.size());
    return shown;
  }

  // The exit code, once the program has ended.
  int Wait() {
    while (Fill()) continue;
    return WaitForExit(std::exchange(child_, -1));
  }

 private:
  bool Fill() {
    constexpr int kPatience = 60'000;  // milliseconds, for a program that hangs
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, kPatience) <= 0) return false;
    char bytes[4096];
    const ssize_t count = ::read(fd_, bytes, sizeof bytes);
    if (count <= 0) return false;
    seen_.append(bytes, static_cast<size_t>(count));
    return true;
  }

  pid_t child_ = -1;
  int fd_ = -1;
  std::string seen_;
};

}  // namespace sputnik
