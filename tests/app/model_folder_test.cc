#include "app/model_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/model_folders.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

TEST(ModelFolder, OpensWeightsWithTheirTokenizer) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeTinyFolder(folder.path());
  const ModelFolder model = OpenModelFolder(folder.path());
  EXPECT_EQ(model.path, folder.path());
  EXPECT_EQ(model.decoder->config().vocab_size, tokenizer.vocab_size());
  EXPECT_EQ(model.NeedTokenizer("a test").hash(), tokenizer.hash());
  EXPECT_EQ(model.StopIds(), std::vector<int32_t>{tokenizer.eos_id()});
  EXPECT_FALSE(model.decoder->params().has_gradients());
}

TEST(ModelFolder, WeightsAloneAreEnoughForTokenIds) {
  const TemporaryFolder folder;
  MakeTinyFolder(folder.path());
  fs::remove(folder / "tokenizer.json");
  const ModelFolder model = OpenModelFolder(folder.path());
  EXPECT_FALSE(model.tokenizer);
  EXPECT_EQ(model.StopIds(), std::vector<int32_t>{1}) << "config.json's eos_token_id";
  const std::string message = ExpectError(ExitCode::kBadInput, [&] { model.NeedTokenizer("scoring text"); });
  EXPECT_MENTIONS(message, folder.path().string());
  EXPECT_MENTIONS(message, "scoring text needs one");
}

// Instruct models list several ends; ids outside the vocabulary mean nothing.
TEST(ModelFolder, EveryListedEndStops) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeTinyFolder(folder.path());
  Json config = ReadJsonFile(folder / "config.json");
  config["eos_token_id"] = {9, tokenizer.eos_id(), 12, 1 << 20};
  WriteFileAtomically(folder / "config.json", config.dump());
  EXPECT_EQ(OpenModelFolder(folder.path()).StopIds(), (std::vector<int32_t>{tokenizer.eos_id(), 9, 12}));
}

TEST(ModelFolder, ATokenizerWithMoreIdsThanTheModelIsRefused) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeTinyFolder(folder.path(), 1, 100);
  const std::string message = ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder.path()); });
  EXPECT_MENTIONS(message, fmt::format("the tokenizer has {} ids, but the model only 100", tokenizer.vocab_size()));
}

TEST(ModelFolder, AModelMayHaveMoreIdsThanItsTokenizer) {
  const TemporaryFolder folder;
  MakeTinyFolder(folder.path(), 1, 300);
  EXPECT_EQ(OpenModelFolder(folder.path()).decoder->config().vocab_size, 300);
}

TEST(ModelFolder, WhatIsNoModelIsNamed) {
  const TemporaryFolder folder;
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder.path()); }), "config.json");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder / "gone"); }),
                  (folder / "gone").string());
  std::ofstream(folder / "file") << "x";
  ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder / "file"); });

  MakeTinyFolder(folder.path());
  fs::resize_file(folder / "model.safetensors", fs::file_size(folder / "model.safetensors") - 10);
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder.path()); }), "model.safetensors");
  fs::remove(folder / "model.safetensors");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenModelFolder(folder.path()); }), "model.safetensors");
}

TEST(ModelFolder, ATokenizerNeedsNoModel) {
  const TemporaryFolder folder;
  const Tokenizer made = MakeByteTokenizer(folder.path());
  EXPECT_EQ(OpenTokenizer(folder.path()).hash(), made.hash());
  EXPECT_EQ(OpenTokenizer(folder / "tokenizer.json").hash(), made.hash());
  fs::create_directory(folder / "empty");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenTokenizer(folder / "empty"); }), "no tokenizer.json");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { OpenTokenizer(folder / "gone"); }), "no such folder");
}

TEST(ModelFolder, TokenIdsComeAsAList) {
  EXPECT_EQ(ParseTokens("[1, 2,3]", "x"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(ParseTokens(" [] ", "x"), std::vector<int32_t>{});
  EXPECT_EQ(ParseTokens("[2147483647]", "x"), std::vector<int32_t>{INT32_MAX});
  for (const char* broken : {"", "[1,", "{\"tokens\": [1]}", "1", "[1.0]", "[-1]", "[\"a\"]", "[[1]]", "[null]",
                             "[2147483648]", "[99999999999999999999]", "[1] [2]"}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ParseTokens(broken, "file:7"); }), "file:7");
  }
}

TEST(ModelFolder, IdsOutsideTheVocabularyAreNamed) {
  ModelConfig config = TinyConfig();
  config.vocab_size = 10;
  CheckTokens(std::vector<int32_t>{0, 9}, config, "x");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput,
                              [&] {
                                CheckTokens(std::vector<int32_t>{0, 10}, config, "file:7");
                              }),
                  "file:7: token id 10 is outside the model's vocabulary, 0 to 9");
}

}  // namespace
}  // namespace sputnik
