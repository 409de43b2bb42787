#include "base/error.h"

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(Error, CarriesMessageAndExitCode) {
  EXPECT_EQ(ExpectError(ExitCode::kFailure, [] { ThrowFailure("disk {} is full", 7); }), "disk 7 is full");
  EXPECT_EQ(ExpectError(ExitCode::kUsage, [] { ThrowUsage("no such key"); }), "no such key");
  EXPECT_EQ(ExpectError(ExitCode::kBadInput, [] { ThrowBadInput("{}:{}", "a.jsonl", 3); }), "a.jsonl:3");
}

// Scripts depend on these numbers.
TEST(Error, ExitCodesAreTheDocumentedOnes) {
  EXPECT_EQ(static_cast<int>(ExitCode::kOk), 0);
  EXPECT_EQ(static_cast<int>(ExitCode::kFailure), 1);
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kBadInput), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kNumeric), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kStopped), 75);
  EXPECT_EQ(static_cast<int>(ExitCode::kInterrupted), 130);
}

// Text from outside goes through as an argument, so braces in a file name are harmless.
TEST(Error, BracesInArgumentsStayAsTheyAre) {
  EXPECT_EQ(ExpectError(ExitCode::kBadInput, [] { ThrowBadInput("{}: empty", "{0}.txt"); }), "{0}.txt: empty");
}

}  // namespace
}  // namespace sputnik
