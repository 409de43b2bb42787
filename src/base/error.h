// The world's faults: a missing file, a broken recipe, a full disk. One exception class, thrown in cold code, whose
// message a user can act on: which file, tensor, key or line, and what to do.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace sputnik {

enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,   // the run failed
  kUsage = 2,     // command line, recipe or config
  kBadInput = 3,  // data, checkpoint or tokenizer files
  kNumeric = 5,   // loss or gradients stayed non-finite
  kStopped = 75,  // stopped by a signal, checkpoint saved, resumable
  kInterrupted = 130,
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

template <class... Args>
[[noreturn]] void ThrowFailure(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::kFailure, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void ThrowUsage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::kUsage, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void ThrowBadInput(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::kBadInput, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace sputnik
