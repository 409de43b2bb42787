#include "app/chat.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/model_folders.h"
#include "tests/support/program.h"
#include "text/chat.h"

namespace sputnik {
namespace {

// What the program would answer to a conversation, by way of `generate`, whose answers have tests of their own.
std::string GreedyAnswer(const std::string& model, const Tokenizer& tokenizer, const std::vector<Message>& messages) {
  const std::vector<int32_t> ids = EncodeChat(tokenizer, messages, true).ids;
  const Json made = Json::parse(OutputOf({"generate", "--model", model, "--tokens", Json(ids).dump(), "--max-tokens",
                                          "6", "--temperature", "0", "--json"}));
  std::vector<int32_t> tokens = made["tokens"];
  if (!tokens.empty() && tokens.back() == tokenizer.eos_id()) tokens.pop_back();
  return tokenizer.Decode(tokens, true);
}

TEST(Chat, AScriptGetsTheAnswersAndNothingElse) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "caf\xc3\xa9!");
  const Outcome outcome = RunProgram({"chat", "--quiet", folder.path()}, "hello\n\n \xe6\x97\xa5\r\nlast");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "caf\xc3\xa9!\ncaf\xc3\xa9!\ncaf\xc3\xa9!\n") << "blank lines are no messages";
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(OutputOf({"chat", "--model", folder.path()}, ""), "");
  EXPECT_EQ(OutputOf({"chat", folder.path()}, "\xff\xfe\n"), "caf\xc3\xa9!\n") << "any bytes are a message";
}

TEST(Chat, EachAnswerSeesWhatWasSaidBefore) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeTinyFolder(folder.path(), 4);
  std::vector<Message> messages = {{"system", "be kind"}, {"user", "one"}};
  std::string expected;
  for (const std::string next : {"two", "three", ""}) {
    const std::string answer = GreedyAnswer(folder.path(), tokenizer, messages);
    expected += answer + "\n";
    messages.push_back({"assistant", answer});
    messages.push_back({"user", next});
  }
  const std::vector<std::string> flags = {"chat",         folder.path(), "--system",      "be kind",
                                          "--max-tokens", "6",           "--temperature", "0"};
  EXPECT_EQ(OutputOf(flags, "one\ntwo\nthree\n"), expected);

  // /clear forgets the turns and /system changes what precedes them.
  const std::string alone = GreedyAnswer(folder.path(), tokenizer, {{"user", "/x"}});
  const std::string out = OutputOf(flags, "one\n/clear\n/system\n//x\n/quit\nnever\n");
  EXPECT_EQ(out,
            GreedyAnswer(folder.path(), tokenizer, {{"system", "be kind"}, {"user", "one"}}) + "\n" + alone + "\n");
  EXPECT_EQ(OutputOf({"chat", folder.path(), "--max-tokens", "6", "--temperature", "0"}, "/system  be kind\none\n"),
            GreedyAnswer(folder.path(), tokenizer, {{"system", "be kind"}, {"user", "one"}}) + "\n");
}

TEST(Chat, TheSameSeedAndMessagesGiveTheSameAnswers) {
  const TemporaryFolder folder;
  MakeTinyFolder(folder.path());
  const auto talk = [&](const std::string& seed) {
    return OutputOf({"chat", folder.path(), "--max-tokens", "9", "--seed", seed}, "hi\nhi\n");
  };
  EXPECT_EQ(talk("7"), talk("7"));
  EXPECT_NE(talk("7"), talk("8"));
}

TEST(Chat, CommandsAnswerBesideTheConversation) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "ok");
  const Outcome outcome = RunProgram({"chat", folder.path()}, "/help\n/claer\n/clear\n/system x\n/exit\nhello\n");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "");
  for (const char* part : {"/system TEXT", "there is no /claer; did you mean /clear?", "(forgotten)", "text is set"}) {
    EXPECT_MENTIONS(outcome.err, part);
  }
}

TEST(Chat, AFullContextForgetsTheOldestTurns) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "ok", 64);
  const std::string message = std::string(20, 'x') + "\n";
  const Outcome outcome = RunProgram({"chat", folder.path()}, message + message + message);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "ok\nok\nok\n");
  EXPECT_MENTIONS(outcome.err, "(the context of 64 tokens is full; forgotten from the start: 1 of 2 earlier turns)");
}

TEST(Chat, AMessageThatCannotFitEndsAScript) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "ok", 64);
  const Outcome outcome = RunProgram({"chat", folder.path()}, "hi\n" + std::string(70, 'x') + "\nhi\n");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.out, "ok\n");
  EXPECT_MENTIONS(outcome.err, "standard input:2: this takes 73 tokens, but the model's context is 64");
}

TEST(Chat, AnswersThatAreCutOffAreToldSo) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "abc", 64, true);
  const Outcome few = RunProgram({"chat", folder.path(), "--max-tokens", "4"}, "hi\n");
  EXPECT_EQ(few.out, "abca\n");
  EXPECT_MENTIONS(few.err, "cut off after 4 tokens; see --max-tokens");
  const Outcome full = RunProgram({"chat", folder.path()}, "hi\n");
  EXPECT_EQ(full.code, 0);
  EXPECT_EQ(full.out.size(), 64u - 5 + 1);
  EXPECT_MENTIONS(full.err, "cut off: the context is full");
}

TEST(Chat, WhatIsNeededAndMissingIsSaid) {
  const TemporaryFolder folder;
  EXPECT_MENTIONS(MessageOf(2, {"chat"}), "--model is missing");
  EXPECT_MENTIONS(MessageOf(3, {"chat", folder.path()}), folder.path().string());
  EXPECT_MENTIONS(MessageOf(2, {"chat", folder.path(), "--temperature", "0.00001"}), "temperature");
  MakeTinyFolder(folder.path());
  std::filesystem::remove(folder / "tokenizer.json");
  EXPECT_MENTIONS(MessageOf(3, {"chat", folder.path()}), "a chat needs one");
}

TEST(ChatTerminal, APersonIsPromptedAndLeavesWithTheEndOfInput) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "caf\xc3\xa9");
  Terminal terminal({"chat", folder.path()});
  EXPECT_MENTIONS(terminal.Await("> "), "/help lists commands");
  terminal.Type("h\xc3\xa4llo\n");
  EXPECT_MENTIONS(terminal.Await("> "), "caf\xc3\xa9\r\n");
  terminal.Type("\x04");
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST(ChatTerminal, ThoughtsAreDimmedWhereThereIsColour) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "<think>hm</think>ok");
  const auto answer = [&](const std::string& term) {
    Terminal terminal({"chat", folder.path()}, term);
    terminal.Await("> ");
    terminal.Type("x\n");
    terminal.Await("x\r\n");
    std::string shown = terminal.Await("ok\r\n");
    terminal.Type("/quit\n");
    EXPECT_EQ(terminal.Wait(), 0);
    return shown;
  };
  EXPECT_EQ(answer("xterm"), "\x1b[2m<think>hm</think>\x1b[0mok\r\n");
  EXPECT_EQ(answer("dumb"), "<think>hm</think>ok\r\n");
  EXPECT_EQ(OutputOf({"chat", folder.path()}, "x\n"), "<think>hm</think>ok\n");
}

TEST(ChatTerminal, ControlCharactersOfAModelDoNotSteerTheTerminal) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "a\x1b[7mb");
  Terminal terminal({"chat", folder.path()});
  terminal.Await("> ");
  terminal.Type("x\n");
  terminal.Await("x\r\n");
  EXPECT_EQ(terminal.Await("b\r\n"), "a[7mb\r\n");
}

TEST(ChatTerminal, CtrlCStopsAnAnswerAndThenLeaves) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "abc", 1 << 17, true);
  Terminal terminal({"chat", folder.path(), "--max-tokens", "1000000"});
  terminal.Await("> ");
  for (int turn = 0; turn < 2; ++turn) {
    terminal.Type("go on\n");
    terminal.Await("abcabc");
    terminal.Type("\x03");
    const std::string rest = terminal.Await("> ");
    EXPECT_EQ(rest.find("cut off"), std::string::npos) << "the one who stopped it knows";
  }
  terminal.Type("\x03");
  EXPECT_EQ(terminal.Wait(), 130);
}

TEST(ChatTerminal, AMessageThatCannotFitIsAskedForAgain) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "ok", 64);
  Terminal terminal({"chat", folder.path()});
  terminal.Await("> ");
  terminal.Type(std::string(70, 'x') + "\n");
  EXPECT_MENTIONS(terminal.Await("> "), "this takes 73 tokens");
  terminal.Type("x\n");
  terminal.Await("ok\r\n");
}

}  // namespace
}  // namespace sputnik
