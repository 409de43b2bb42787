#include "app/run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/json.h"
#include "tests/support/program.h"
#include "tests/support/tiny_recipe.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class RunTest : public testing::Test {
 protected:
  std::string Out(const std::string& name = "run") const { return folder_ / name; }

  std::vector<std::string> Command(const std::vector<std::string>& more, const std::string& out = "run") const {
    std::vector<std::string> all = {"run", recipe_.string(), "--out", Out(out), "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  // The recipe's run must fail with `code` and one message that has `part`, and leave no checkpoint.
  void Refuses(int code, const std::string& part, const std::vector<std::string>& settings) {
    std::vector<std::string> more;
    for (const std::string& setting : settings) more.insert(more.end(), {"--set", setting});
    const std::string message = MessageOf(code, Command(more));
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_FALSE(fs::exists(folder_ / "run" / "checkpoints")) << message;
  }

  // Text to train on, as a setting.
  std::string Text(const std::string& name, std::string_view content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return "data.text=" + std::string(folder_ / name);
  }

  std::string MakeTokenizer() {
    const std::string folder = folder_ / "words";
    const Outcome outcome =
        RunProgram({"tokenizer", "train", "--vocab-size", "300", "--out", folder, std::string(folder_ / "prose.txt")});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return folder;
  }

  TemporaryFolder folder_;
  fs::path recipe_ = WriteTinyRecipe(folder_.path());
};

TEST_F(RunTest, TextThatIsNone) {
  Refuses(3, "no such file or folder", {"data.text=missing.txt"});
  Refuses(3, "every document is empty", {Text("empty.txt", "")});
  Refuses(3, "too few", {Text("short.txt", "Hello.\n")});
  Refuses(3, "a binary file", {Text("binary.txt", std::string_view("MZ\0\1\2\3", 6))});
  Refuses(3, "not UTF-8: byte 0xe9 at offset 3", {Text("latin1.txt", "caf\xe9\n")});
  Refuses(3, "broken.jsonl:2", {Text("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")});
  Refuses(3, "every document is empty", {Text("wordless.jsonl", "{\"text\": \"\"}\n")});
  Refuses(3, "untexted.jsonl:1", {Text("untexted.jsonl", "{\"words\": \"a\"}\n")});
}

TEST_F(RunTest, OneLineOfTextMayBeHuge) {
  std::string line;
  while (line.size() < (size_t{4} << 20)) line += "a line without an end ";
  const Outcome outcome = RunProgram(Command({"--set", Text("huge.txt", line), "--set", "run.stages=[\"pretrain\"]"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(RunTest, ModelsThatCannotBe) {
  Refuses(2, "a vocabulary of 100 is too small", {"tokenizer.vocab_size=100"});
  Refuses(2, "num_experts_per_tok", {"model.num_experts_per_tok=9"});
  Refuses(2, "do not divide into 3 groups", {"model.n_group=3"});
  Refuses(2, "qk_rope_head_dim", {"model.qk_rope_head_dim=5"});
  Refuses(2, "only 48 positions", {"pretrain.context=64"});
  Refuses(2, "num_attention_heads", {"model.num_attention_heads=0"});
}

TEST_F(RunTest, MoreMemoryThanThereIsIsSaidBeforeTraining) {
  Refuses(2, "MiB are free", {"model.hidden_size=32768", "model.intermediate_size=400000"});
}

// A model to go on from that is not whole, or goes with another tokenizer.
TEST_F(RunTest, ModelsThatAreBroken) {
  OutputOf(Command({"--set", "run.stages=[\"pretrain\"]", "--set", "pretrain.steps=1"}, "base"));
  const fs::path whole = folder_ / "base" / "checkpoints" / "step-1";
  const auto refused = [&](const std::string& name, const std::string& part,
                           const std::function<void(const fs::path&)>& spoil,
                           const std::vector<std::string>& settings = {}) {
    const fs::path broken = folder_ / name;
    fs::copy(whole, broken, fs::copy_options::recursive);
    spoil(broken);
    std::vector<std::string> all = {"run.stages=[\"sft\"]", "run.from=" + broken.string()};
    all.insert(all.end(), settings.begin(), settings.end());
    Refuses(3, part, all);
  };
  refused("cut", "model.safetensors", [](const fs::path& model) {
    fs::resize_file(model / "model.safetensors", fs::file_size(model / "model.safetensors") / 2);
  });
  const auto reconfigure = [](const fs::path& model, const std::string& key, int64_t value) {
    OrderedJson config = OrderedJson::parse(ReadFile(model / "config.json"));
    config[key] = value;
    std::ofstream(model / "config.json") << config.dump();
  };
  refused("shape", "has shape", [&](const fs::path& model) { reconfigure(model, "moe_intermediate_size", 24); });
  refused("missing", "missing", [&](const fs::path& model) { reconfigure(model, "num_hidden_layers", 3); });
  refused("unconfigured", "config.json", [](const fs::path& model) { fs::remove(model / "config.json"); });
  const std::string words = folder_ / "more_words";
  OutputOf({"tokenizer", "train", "--vocab-size", "310", "--out", words, std::string(folder_ / "prose.txt")});
  refused("foreign", "do not belong together", [](const fs::path&) {}, {"tokenizer.from=" + words});
}

// The disk takes no more in the middle of a run: one message, and what was saved before is there to go on from.
TEST_F(RunTest, AFullDiskEndsTheRunAndKeepsTheCheckpoint) {
  OutputOf(Command({"--set", "run.stages=[\"pretrain\"]"}));
  const fs::path checkpoint = folder_ / "run" / "checkpoints" / "step-12";
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{.rlim_cur = fs::file_size(checkpoint / "model.safetensors") - 1, .rlim_max = old.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Outcome full = RunProgram(Command({"--resume"}));
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_NE(full.err.find("cannot write"), std::string::npos) << full.err;
  EXPECT_EQ(ReadFile(folder_ / "run" / "checkpoints" / "latest"), "step-12\n");
  const Outcome again = RunProgram(Command({"--resume"}));
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(RunTest, AFolderThatMayOnlyBeReadIsNamed) {
  fs::create_directories(folder_ / "run");
  const auto read = static_cast<fs::perms>(0555);
  for (const fs::path& path : {folder_.path(), recipe_, folder_ / "prose.txt"}) {
    fs::permissions(path, read, fs::perm_options::add);
  }
  fs::permissions(folder_ / "run", read);
  // The superuser may write everywhere, so someone else runs the program then.
  const uid_t user = ::geteuid(), nobody = 65534;
  if (user == 0) {
    ASSERT_EQ(::seteuid(nobody), 0);
  }
  const Outcome outcome = RunProgram(Command({}));
  ASSERT_EQ(::seteuid(user), 0);
  const std::string& message = outcome.err;
  if (outcome.code == 127) GTEST_SKIP() << "another user cannot run the program here";
  EXPECT_EQ(outcome.code, 1) << message;
  EXPECT_NE(message.find("Permission denied"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(folder_ / "run"));
}

TEST_F(RunTest, ConversationsInDisorder) {
  std::ofstream(folder_ / "order.jsonl") << R"({"messages":[{"role":"assistant","content":"x"}]})"
                                            "\n";
  Refuses(3, "order.jsonl:1: message 1 is of assistant where user has the turn",
          {"run.stages=[\"sft\"]", "tokenizer.from=" + MakeTokenizer(),
           "sft.conversations=" + std::string(folder_ / "order.jsonl")});
}

TEST_F(RunTest, WrongFlagsAndSettings) {
  Refuses(2, "did you mean pretrain.steps?", {"pretrain.stepz=3"});
  Refuses(2, "must be a whole number", {"pretrain.steps=abc"});
  EXPECT_NE(MessageOf(2, Command({"--bogus"})).find("unknown flag --bogus"), std::string::npos);
  EXPECT_NE(MessageOf(2, {"run", "no-such.toml"}).find("no-such.toml"), std::string::npos);
}

TEST_F(RunTest, AFolderThatCannotBeMade) {
  EXPECT_NE(MessageOf(1, {"run", recipe_.string(), "--out", "/proc/run", "--quiet"}).find("cannot create"),
            std::string::npos);
}

TEST_F(RunTest, DryRunPrintsTheRecipeAndWritesNothing) {
  const std::string out = OutputOf(Command({"--dry-run", "--set", "sft.steps=77"}));
  EXPECT_NE(out.find("steps = 77"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(RunTest, ASignalSavesAndResumeGoesOn) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    BecomeProgram(Command({"--set", "pretrain.steps=1000000", "--set", "pretrain.eval_every=0"}));
  }
  while (!fs::exists(folder_ / "run" / "metrics.jsonl") || fs::file_size(folder_ / "run" / "metrics.jsonl") < 2000) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
    ::usleep(1000);
  }
  ::kill(child, SIGTERM);
  EXPECT_EQ(WaitForExit(child), 75);
  EXPECT_TRUE(fs::exists(folder_ / "run" / "checkpoints" / "latest"));
  const Outcome again = RunProgram(Command({"--resume"}));
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(RunTest, TwoRunsDoNotShareAFolder) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    BecomeProgram(Command({"--set", "pretrain.steps=1000000", "--set", "pretrain.eval_every=0"}));
  }
  while (!fs::exists(folder_ / "run" / "metrics.jsonl")) ::usleep(1000);
  EXPECT_NE(MessageOf(2, Command({"--resume"})).find("another"), std::string::npos);
  ::kill(child, SIGKILL);
  WaitForExit(child);
}

TEST_F(RunTest, StagesOnTheirOwnTakeUpAModel) {
  OutputOf(Command({"--set", "run.stages=[\"pretrain\"]"}, "base"));
  OutputOf({"sft", recipe_.string(), "--model", Out("base"), "--out", Out("tuned"), "--quiet"});
  OutputOf({"improve", recipe_.string(), "--model", Out("tuned"), "--out", Out("better"), "--quiet", "--set",
            "improve.kl_weight=0.1", "--set", "controls.run=[\"random_reward\"]"});
  EXPECT_TRUE(fs::exists(folder_ / "better" / "results" / "control_random.jsonl"));
}

TEST_F(RunTest, OnesOwnConversationsAndProblems) {
  std::ofstream chats(folder_ / "chats.jsonl"), problems(folder_ / "problems.jsonl");
  for (int64_t i = 1; i < 40; ++i) {
    chats << fmt::format(R"({{"messages":[{{"role":"user","content":"{0}"}},{{"role":"assistant","content":"{0}"}}]}})",
                         i)
          << "\n";
    problems << fmt::format(R"({{"prompt":"{}+1=","answer":{}}})", i, i + 1) << "\n";
  }
  chats.close();
  problems.close();
  OutputOf(Command({"--set", "run.stages=[\"pretrain\"]"}, "base"));
  const std::string own = std::string(SPUTNIK_SOURCE_DIR) + "/recipes/own.toml";
  OutputOf({"sft", own, "--model", Out("base"), "--set", "sft.conversations=" + std::string(folder_ / "chats.jsonl"),
            "--out", Out("tuned"), "--set", "sft.steps=3", "--quiet"});
  EXPECT_FALSE(fs::exists(folder_ / "tuned" / "results"));
  OutputOf({"improve", own, "--model", Out("tuned"), "--set", "task.file=" + std::string(folder_ / "problems.jsonl"),
            "--out", Out("better"), "--set", "improve.steps=2", "--quiet"});
  EXPECT_TRUE(fs::exists(folder_ / "better" / "results" / "improve.jsonl"));
}

}  // namespace
}  // namespace sputnik
