#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/expect_error.h"
#include "tests/support/model_folders.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

const std::vector<std::string> kVerbs = {"run",
                                         "tokenizer train",
                                         "tokenizer encode",
                                         "tokenizer decode",
                                         "pretrain",
                                         "sft",
                                         "improve",
                                         "eval",
                                         "score",
                                         "generate",
                                         "chat",
                                         "info",
                                         "doctor",
                                         "version"};

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// What docs, scripts and people's fingers rely on.
TEST(Program, HasAllVerbsEachWithAnExample) {
  const std::string overview = OutputOf({"--help"});
  for (const std::string& verb : kVerbs) {
    EXPECT_MENTIONS(overview, "  " + verb + " ");
    std::vector<std::string> arguments = Words(verb);
    arguments.push_back("--help");
    const std::string help = OutputOf(arguments);
    EXPECT_MENTIONS(help, "Usage: sputnik " + verb);
    const size_t example = help.find("\nExample:\n");
    ASSERT_NE(example, help.npos) << verb;
    EXPECT_NE(help.find("sputnik " + verb + " ", example), help.npos) << help;
  }
}

// Flags that an example of the help text shows are flags that the verb has.
TEST(Program, ExamplesNameFlagsThatAreThere) {
  for (const std::string& verb : kVerbs) {
    std::vector<std::string> arguments = Words(verb);
    arguments.push_back("--help");
    const std::string help = OutputOf(arguments);
    const size_t example = help.find("\nExample:\n");
    for (const std::string& word : Words(help.substr(example))) {
      if (!word.starts_with("--")) continue;
      const size_t there = help.find(word);
      EXPECT_LT(there, example) << verb << " has no " << word;
    }
  }
}

TEST(Program, TypingMistakesNameTheNearest) {
  EXPECT_MENTIONS(MessageOf(2, {"evla"}), "did you mean eval?");
  EXPECT_MENTIONS(MessageOf(2, {"chats"}), "did you mean chat?");
  EXPECT_MENTIONS(MessageOf(2, {"tokenizer", "encod"}), "did you mean encode?");
  EXPECT_MENTIONS(MessageOf(2, {"score", "--modle", "x"}), "did you mean --model?");
  EXPECT_MENTIONS(MessageOf(2, {}), "which verb?");
}

// `sputnik ... | head` reads a little and goes: no message, and no signal.
TEST(Program, AReaderWhoHasSeenEnoughIsNoError) {
  const TemporaryFolder folder;
  MakeByteTokenizer(folder.path());
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += "a line of text\n";
  WriteFileAtomically(folder / "text", lines);
  const std::string err = folder / "err";
  const std::string command =
      fmt::format("bash -c '{} tokenizer encode --model {} {} 2>{} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}'",
                  kProgramPath, folder.path().string(), (folder / "text").string(), err);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
  EXPECT_EQ(ReadFile(err), "");
}

}  // namespace
}  // namespace sputnik
