// Expects that `action` throws Error with this exit code, and returns its message for closer looks.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace sputnik {

template <class Action>
std::string ExpectError(ExitCode code, Action&& action) {
  try {
    std::forward<Action>(action)();
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.code()), static_cast<int>(code)) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace sputnik

// The message holds all of these.
#define EXPECT_MENTIONS(message, part) \
  EXPECT_NE((message).find(part), std::string::npos) << "message: " << (message) << "\nlacks: " << (part)
