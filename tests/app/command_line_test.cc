#include "app/command_line.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <new>

#include "app/output.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

// What `show` was given. A verb is a plain function, so its flags lie outside it.
struct Shown {
  std::string text = "none", colour = "red", model;
  std::vector<std::string> list, rest;
  int64_t count = 7;
  double rate = 0.5;
  bool loud = false, text_given = false;
  GlobalFlags global;
};
Shown shown;

ExitCode RunShow(CommandLine& line) {
  shown = {};
  line.ModelFlag(&shown.model, true);
  line.Flag("--text,-x WORDS", &shown.text, "some words");
  line.Flag("--list ONE", &shown.list, "one of many");
  Field& count = line.Flag("--count N", &shown.count, "how many");
  count.minimum = -10;
  count.maximum = 1e9;
  line.Flag("--rate X", &shown.rate, "how fast");
  line.Flag("--colour NAME", &shown.colour, "a choice").choices = {"red", "green"};
  line.Flag("--loud", &shown.loud, "with noise");
  line.Example("sputnik show --count 3");
  line.Note("It shows what it was given.");
  if (!line.Parse()) return ExitCode::kOk;
  shown.text_given = line.Given("--text");
  shown.global = line.global();
  return ExitCode::kOk;
}

ExitCode RunNeedy(CommandLine& line) {
  std::string out;
  line.Flag("--out DIR", &out, "where to");
  line.Argument("FILE", &shown.rest, "files");
  line.Require("--out");
  line.Require("FILE");
  line.Example("sputnik box fill --out DIR FILE");
  shown.rest.clear();
  return line.Parse() ? ExitCode::kStopped : ExitCode::kOk;
}

ExitCode RunThrow(CommandLine& line) {
  std::string what;
  line.Flag("--what NAME", &what, "kind of error");
  line.Example("sputnik throw");
  if (!line.Parse()) return ExitCode::kOk;
  if (what == "usage") ThrowUsage("wrong");
  if (what == "input") ThrowBadInput("bad\x1b[31m\nline");
  if (what == "failure") ThrowFailure("failed");
  if (what == "numeric") throw Error(ExitCode::kNumeric, "not finite");
  if (what == "memory") throw std::bad_alloc();
  if (what == "disk") std::filesystem::create_directory("/proc/none/none");
  throw OutputClosed();
}

constexpr Verb kVerbs[] = {{"show", "shows things", &RunShow},
                           {"box fill", "fills a box", &RunNeedy},
                           {"box empty", "empties it", &RunShow},
                           {"throw", "throws things", &RunThrow}};

struct Result {
  int code;
  std::string out, err;
};

Result Start(std::vector<std::string> arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = RunCommandLine(kVerbs, std::move(arguments));
  std::string out = testing::internal::GetCapturedStdout();
  return {code, std::move(out), testing::internal::GetCapturedStderr()};
}

// Runs to a usage error; the message.
std::string Complaint(std::vector<std::string> arguments) {
  const Result result = Start(std::move(arguments));
  EXPECT_EQ(result.code, 2) << result.out;
  EXPECT_EQ(result.out, "");
  return result.err;
}

TEST(CommandLine, ReadsFlagsInAllTheirForms) {
  EXPECT_EQ(Start({"show", "--text", "two words", "--count=12", "--rate", "1e-3", "--loud"}).code, 0);
  EXPECT_EQ(shown.text, "two words");
  EXPECT_TRUE(shown.text_given);
  EXPECT_EQ(shown.count, 12);
  EXPECT_EQ(shown.rate, 1e-3);
  EXPECT_TRUE(shown.loud);

  EXPECT_EQ(Start({"show", "-x", "short", "--list", "a", "--list=b c"}).code, 0);
  EXPECT_EQ(shown.text, "short");
  EXPECT_EQ(shown.list, (std::vector<std::string>{"a", "b c"}));

  EXPECT_EQ(Start({"show"}).code, 0);
  EXPECT_EQ(shown.text, "none");
  EXPECT_FALSE(shown.text_given);
  EXPECT_EQ(shown.count, 7);
}

TEST(CommandLine, NumbersMayBeNegativeOrInScientificForm) {
  for (const auto& arguments : {std::vector<std::string>{"show", "--count", "-5", "--rate", "-0.25"},
                                std::vector<std::string>{"show", "--count=-5", "--rate=-2.5e-1"}}) {
    EXPECT_EQ(Start(arguments).code, 0);
    EXPECT_EQ(shown.count, -5);
    EXPECT_EQ(shown.rate, -0.25);
  }
  EXPECT_EQ(Start({"show", "--count", "1e6"}).code, 0);
  EXPECT_EQ(shown.count, 1'000'000);
  EXPECT_EQ(Start({"show", "--count", "+3"}).code, 0);
  EXPECT_EQ(shown.count, 3);
}

TEST(CommandLine, AValueOfTheWrongKindIsNamed) {
  EXPECT_MENTIONS(Complaint({"show", "--count", "many"}), "--count must be a whole number, not \"many\"");
  EXPECT_MENTIONS(Complaint({"show", "--count", "1.5"}), "--count must be a whole number");
  EXPECT_MENTIONS(Complaint({"show", "--count", "12x"}), "--count must be a whole number");
  EXPECT_MENTIONS(Complaint({"show", "--count", "1e30"}), "--count must be a whole number");
  EXPECT_MENTIONS(Complaint({"show", "--rate", "fast"}), "--rate must be a number");
  EXPECT_MENTIONS(Complaint({"show", "--rate", "nan"}), "--rate must be a number");
  EXPECT_MENTIONS(Complaint({"show", "--count", "-11"}), "between -10 and");
  EXPECT_MENTIONS(Complaint({"show", "--colour", "gren"}), "did you mean \"green\"?");
}

TEST(CommandLine, AForgottenValueIsNotTheNextFlag) {
  EXPECT_MENTIONS(Complaint({"show", "--text", "--loud"}), "--text needs a value before --loud");
  EXPECT_MENTIONS(Complaint({"show", "--text"}), "--text");
  EXPECT_EQ(Start({"show", "--text=--loud"}).code, 0);
  EXPECT_EQ(shown.text, "--loud");
  EXPECT_FALSE(shown.loud);
}

TEST(CommandLine, UnknownNamesComeWithTheNearest) {
  EXPECT_MENTIONS(Complaint({"shwo"}), "unknown verb \"shwo\"; did you mean show?");
  EXPECT_MENTIONS(Complaint({"box", "fil"}), "did you mean fill?; expected one of fill, empty");
  EXPECT_MENTIONS(Complaint({"box"}), "expected one of fill, empty");
  EXPECT_MENTIONS(Complaint({"show", "--cuont", "3"}), "unknown flag --cuont; did you mean --count?");
  EXPECT_MENTIONS(Complaint({"show", "--cuont=3"}), "unknown flag --cuont; did you mean --count?");
  EXPECT_MENTIONS(Complaint({"--thread", "3", "show"}), "unknown flag --thread; did you mean --threads?");
  EXPECT_MENTIONS(Complaint({"show", "-z"}), "unknown flag -z");
  EXPECT_MENTIONS(Complaint({}), "which verb?");
}

TEST(CommandLine, WhatIsMissingOrTooMuchIsSaid) {
  const std::string missing = Complaint({"box", "fill", "file"});
  EXPECT_MENTIONS(missing, "--out is missing");
  EXPECT_MENTIONS(missing, "sputnik box fill --out DIR FILE");
  EXPECT_MENTIONS(Complaint({"box", "fill", "--out", "x"}), "FILE is missing");
  EXPECT_MENTIONS(Complaint({"box", "fill", "--out", "", "file"}), "--out is missing");
  EXPECT_MENTIONS(Complaint({"throw", "stone"}), "unexpected argument \"stone\"");
  EXPECT_MENTIONS(Complaint({"show", "one", "two"}), "unexpected argument \"two\"");
  EXPECT_EQ(Start({"box", "fill", "a", "--out", "x", "b", "-"}).code, 75);
  EXPECT_EQ(shown.rest, (std::vector<std::string>{"a", "b", "-"}));
}

TEST(CommandLine, AModelIsGivenOnceAsFlagOrArgument) {
  EXPECT_EQ(Start({"show", "runs/a"}).code, 0);
  EXPECT_EQ(shown.model, "runs/a");
  EXPECT_EQ(Start({"show", "-m", "runs/b"}).code, 0);
  EXPECT_EQ(shown.model, "runs/b");
  EXPECT_MENTIONS(Complaint({"show", "--model", "a", "b"}), "both --model and DIR");
}

TEST(CommandLine, GlobalFlagsStandBeforeOrAfterTheVerb) {
  for (const auto& arguments : {std::vector<std::string>{"--threads", "3", "--machine", "reference", "show"},
                                std::vector<std::string>{"-t3", "--machine=reference", "show"},
                                std::vector<std::string>{"-t", "3", "show", "--machine", "reference"},
                                std::vector<std::string>{"show", "--threads=3", "--machine", "reference"}}) {
    EXPECT_EQ(Start(arguments).code, 0);
    EXPECT_EQ(shown.global.threads, 3);
    EXPECT_EQ(shown.global.machine, "reference");
  }
  EXPECT_MENTIONS(Complaint({"show", "--threads", "-1"}), "--threads must be");
  EXPECT_MENTIONS(Complaint({"show", "--machine", "abacus"}), "--machine must be one of");
  EXPECT_MENTIONS(Complaint({"show", "--quiet", "--verbose"}), "exclude each other");
}

TEST(CommandLine, HelpIsPrintedInAllTheWaysOneAsksForIt) {
  const Result help = Start({"show", "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const char* part : {"shows things", "--text WORDS", "some words", "--count N=7", "--threads N",
                           "It shows what it was given.", "Example:\n  sputnik show --count 3\n"}) {
    EXPECT_MENTIONS(help.out, part);
  }
  EXPECT_EQ(help.out.find("\n\n\n"), std::string::npos) << help.out;
  EXPECT_EQ(Start({"help", "show"}).out, help.out);
  EXPECT_EQ(Start({"show", "-h"}).out, help.out);
  EXPECT_EQ(Start({"show", "--count", "9", "--help"}).code, 0);
  EXPECT_EQ(Start({"box", "fill", "--help"}).code, 0) << "help needs nothing that is required";

  const Result overview = Start({"--help"});
  EXPECT_EQ(overview.code, 0);
  for (const Verb& verb : kVerbs) EXPECT_MENTIONS(overview.out, std::string(verb.name));
  EXPECT_EQ(Start({"help"}).out, overview.out);
  const Result group = Start({"box", "--help"});
  EXPECT_MENTIONS(group.out, "box empty");
  EXPECT_EQ(group.out.find("shows things"), std::string::npos);
  EXPECT_EQ(Start({"--version"}).out.substr(0, 8), "sputnik ");
}

TEST(CommandLine, EveryErrorHasItsExitCodeAndOneMessage) {
  EXPECT_EQ(Start({"throw", "--what", "usage"}).code, 2);
  EXPECT_EQ(Start({"throw", "--what", "failure"}).code, 1);
  EXPECT_EQ(Start({"throw", "--what", "numeric"}).code, 5);
  EXPECT_EQ(Start({"throw", "--what", "failure"}).err, "sputnik: error: failed\n");
  const Result memory = Start({"throw", "--what", "memory"});
  EXPECT_EQ(memory.code, 1);
  EXPECT_MENTIONS(memory.err, "out of memory");
  const Result disk = Start({"throw", "--what", "disk"});
  EXPECT_EQ(disk.code, 1);
  EXPECT_MENTIONS(disk.err, "none");
  const Result closed = Start({"throw"});
  EXPECT_EQ(closed.code, 0) << "nobody reads any more, which is no error";
  EXPECT_EQ(closed.err, "");
  const Result input = Start({"throw", "--what", "input"});
  EXPECT_EQ(input.code, 3);
  EXPECT_EQ(input.err.find('\x1b'), std::string::npos) << "control characters reach the terminal";
}

}  // namespace
}  // namespace sputnik
