// The README's commands on a model that one has: each is run as it stands there, on a small model of that name.
#include <gtest/gtest.h>

#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/program.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// The commands of a section: its indented lines.
std::vector<std::string> CommandsOf(const std::string& readme, const std::string& title) {
  const size_t begin = readme.find("\n## " + title + "\n");
  EXPECT_NE(begin, readme.npos) << title;
  std::istringstream section(readme.substr(begin + 1, readme.find("\n## ", begin + 1) - begin - 1));
  std::vector<std::string> commands;
  for (std::string line; std::getline(section, line);) {
    if (line.starts_with("    ")) commands.push_back(line.substr(4));
  }
  EXPECT_FALSE(commands.empty()) << title;
  return commands;
}

// The words of a command as a shell cuts them; of its quotes, only single ones.
std::vector<std::string> Words(const std::string& command) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (const char c : command) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

void Write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  WriteFileAtomically(path, text);
}

// What the commands speak of: a model, texts, chats, problems, and the recipe with fewer and smaller steps.
void Furnish(const fs::path& folder) {
  const fs::path model = folder / "models/Qwen2.5-1.5B";
  fs::create_directories(model);
  const Tokenizer tokenizer = MakeByteTokenizer(model);
  ModelConfig config = TinyFamily("qwen2");
  config.vocab_size = tokenizer.vocab_size();
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id = tokenizer.eos_id();
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, 1);
  SaveModel(model, decoder);
  Write(folder / "texts.jsonl", "{\"text\": \"One line.\"}\n");
  Write(folder / "notes.txt", std::string(600, 'n') + "otes.\n");
  std::string chats, problems;
  for (int i = 0; i < 8; ++i) {
    chats += R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]})"
             "\n";
    problems += fmt::format("{{\"prompt\": \"{}\", \"answer\": \"{}\"}}\n", i, i + 1);
  }
  Write(folder / "chats.jsonl", chats);
  Write(folder / "problems.jsonl", problems);
  std::string recipe;
  std::istringstream lines(ReadFile(fs::path(SPUTNIK_SOURCE_DIR) / "recipes/own.toml"));
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(' '));
    if (key == "steps") line = "steps = 2";
    if (key == "batch_tokens" || key == "micro_batch_tokens") line = key + " = 128";
    if (key == "prompts_per_step" || key == "group_size" || key == "max_tokens" || key == "samples")
      line = key + " = 4";
    recipe += line + "\n";
  }
  Write(folder / "recipes/own.toml", recipe);
}

TEST(ReadmeTest, CommandsOnAModelThatOneHas) {
  const TemporaryFolder folder;
  Furnish(folder.path());
  const std::string readme = ReadFile(fs::path(SPUTNIK_SOURCE_DIR) / "README.md");
  for (const char* title : {"Use a model you have", "Fine-tune it", "Open the result elsewhere"}) {
    for (const std::string& command : CommandsOf(readme, title)) {
      SCOPED_TRACE(command);
      std::vector<std::string> words = Words(command);
      ASSERT_EQ(words[0], "build/release/sputnik");
      words.erase(words.begin());
      const Outcome outcome = RunProgram(words, words[0] == "chat" ? "Hi\n/exit\n" : "", folder.path());
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      const auto out = std::find(words.begin(), words.end(), "--out");
      if (out == words.end()) {
        EXPECT_FALSE(outcome.out.empty());
      } else {
        EXPECT_TRUE(fs::exists(folder.path() / *(out + 1)));
      }
    }
  }
  EXPECT_TRUE(fs::exists(folder.path() / "out/merged/model.safetensors"));
  EXPECT_EQ(Json::parse(ReadFile(folder.path() / "out/grown/config.json"))["model_type"], "qwen2");
}

}  // namespace
}  // namespace sputnik
