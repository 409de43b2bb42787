#include "app/output.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

TEST(Output, WhatIsPrintedComesOut) {
  testing::internal::CaptureStdout();
  Print("one ");
  Print("");
  Print(std::string_view("t\0wo\n", 5));
  FlushOutput();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), std::string("one t\0wo\n", 9));
}

TEST(Output, PlainTextLeavesNothingThatSteersATerminal) {
  EXPECT_EQ(PlainText("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(PlainText("\x1b[31mred\x07\r\x7f"), "[31mred");
  EXPECT_EQ(PlainText("caf\xc3\xa9 \xe6\x97\xa5"), "caf\xc3\xa9 \xe6\x97\xa5");
  EXPECT_EQ(PlainText("\xc2\x9b"
                      "31m"),
            "31m")
      << "U+009B is a control character, too";
  EXPECT_EQ(PlainText("a\xff"
                      "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(PlainText(std::string("a\0b", 3)), "ab");
}

int ExitCodeOf(const std::string& shell) { return WEXITSTATUS(std::system(shell.c_str())); }

TEST(Output, AReaderThatWentAwayEndsTheProgramQuietly) {
  const TemporaryFolder folder;
  const std::string err = folder / "err";
  // The verb's own exit code, of a reader that reads nothing at all.
  const int code =
      ExitCodeOf(fmt::format("bash -c '{} --help 2>{} | true; exit ${{PIPESTATUS[0]}}'", kProgramPath, err));
  EXPECT_EQ(code, 0);
  EXPECT_EQ(ReadFile(err), "");
}

TEST(Output, AFullDiskIsAFailureThatIsTold) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const TemporaryFolder folder;
  const std::string err = folder / "err";
  EXPECT_EQ(ExitCodeOf(fmt::format("{} version >/dev/full 2>{}", kProgramPath, err)), 1);
  EXPECT_MENTIONS(ReadFile(err), "cannot write to standard output: No space left");
}

}  // namespace
}  // namespace sputnik
