#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "tests/support/temporary_folder.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = SPUTNIK_SOURCE_DIR "/tests/golden/tokenizer";

fs::path DeepSeekFolder() {
  const char* shared = std::getenv("SPUTNIK_SHARED");
  return fs::path(shared != nullptr ? shared : SPUTNIK_SOURCE_DIR "/../shared") / "data" / "deepseek-tokenizer";
}

std::vector<Json> ReadLines(const std::string& name) {
  std::vector<Json> lines;
  std::ifstream file(kGolden + "/" + name);
  for (std::string line; std::getline(file, line);) lines.push_back(ParseJson(line, name));
  EXPECT_GT(lines.size(), 30u) << name;
  return lines;
}

void ExpectGoldenIds(const Tokenizer& tokenizer, const std::string& name) {
  for (const Json& line : ReadLines(name)) {
    const auto text = line["text"].get<std::string>();
    EXPECT_EQ(tokenizer.Encode(text), line["ids"].get<std::vector<int32_t>>()) << text;
    EXPECT_EQ(tokenizer.Encode(text, true), line["special_ids"].get<std::vector<int32_t>>()) << text;
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text, true)), text);
  }
}

TEST(Tokenizer, IdsEqualTheLibrarysOnATrainedFile) { ExpectGoldenIds(Tokenizer::Load(kGolden), "trained.jsonl"); }

TEST(Tokenizer, IdsEqualTheLibrarysOnTheRealDeepSeekFile) {
  if (!fs::exists(DeepSeekFolder() / "tokenizer.json")) {
    GTEST_SKIP() << DeepSeekFolder()
                 << " is missing; set SPUTNIK_SHARED to the folder that has data/deepseek-tokenizer";
  }
  const Tokenizer tokenizer = Tokenizer::Load(DeepSeekFolder());
  ExpectGoldenIds(tokenizer, "deepseek.jsonl");
  EXPECT_EQ(tokenizer.vocab_size(), 129280);
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.SpecialId("<｜User｜>"), 128803);
  EXPECT_FALSE(tokenizer.IsSpecial(128803)) << "this file does not mark it";
  EXPECT_EQ(tokenizer.Encode("<｜User｜>"), (std::vector<int32_t>{128803}));
  EXPECT_GT(tokenizer.EncodeContent("<｜User｜>").size(), 1u) << "nobody may speak for another";
}

// A golden file of tools/tokenizer_parity.py: a trained model with parts of it replaced, written into `folder`.
Tokenizer MakeVariant(const Json& variant, const fs::path& folder) {
  Json json =
      ReadJsonFile(SPUTNIK_SOURCE_DIR "/tests/golden/tokenizers/" + variant["base"].get<std::string>() + ".json");
  for (const auto& [key, value] : variant["changes"].items()) {
    if (key == "model") {
      json["model"].update(value);
    } else {
      json[key] = value;
    }
  }
  WriteFileAtomically(folder / "tokenizer.json", json.dump());
  return Tokenizer::Load(folder);
}

std::vector<Json> ReadVariants() {
  std::vector<Json> variants;
  std::ifstream file(SPUTNIK_SOURCE_DIR "/tests/golden/tokenizers/variants.jsonl");
  for (std::string line; std::getline(file, line);) variants.push_back(ParseJson(line, "variants.jsonl"));
  EXPECT_GT(variants.size(), 40u);
  return variants;
}

TEST(Tokenizer, IdsAndTextEqualTheLibrarysInEveryConfiguration) {
  const TemporaryFolder temporary;
  for (const Json& variant : ReadVariants()) {
    const Tokenizer tokenizer = MakeVariant(variant, temporary.path());
    for (const Json& one : variant["cases"]) {
      SCOPED_TRACE(variant["name"].get<std::string>() + ": " + one["text"].dump());
      const auto text = one["text"].get<std::string>();
      const auto ids = one["ids"].get<std::vector<int32_t>>();
      const auto special = one.value("special_ids", ids);
      EXPECT_EQ(tokenizer.Encode(text), ids);
      EXPECT_EQ(tokenizer.Encode(text, true), special);
      EXPECT_EQ(tokenizer.Complete(special), one.value("complete_ids", special));
      EXPECT_EQ(tokenizer.Decode(special), one.value("decoded", text));
    }
  }
}

TEST(StreamDecoder, EmitsWholeCharactersInEveryConfiguration) {
  const TemporaryFolder temporary;
  for (const Json& variant : ReadVariants()) {
    const Tokenizer tokenizer = MakeVariant(variant, temporary.path());
    const std::vector<int32_t> ids = tokenizer.Encode("  日本 é \U0001F468\u200D\U0001F467 𝔘 a\u0301 z ");
    StreamDecoder decoder(tokenizer);
    for (int round = 0; round < 2; ++round) {
      std::string all;
      for (const int32_t id : ids) {
        const std::string ready = decoder.Push(id);
        EXPECT_TRUE(IsValidUtf8(ready)) << variant["name"];
        all += ready;
      }
      EXPECT_EQ(all + decoder.Finish(), tokenizer.Decode(ids)) << variant["name"] << ", round " << round;
    }
  }
}

TEST(Tokenizer, FallbackTokensCarryBytesThatAreNoCharacters) {
  const TemporaryFolder temporary;
  for (const Json& variant : ReadVariants()) {
    if (variant["name"] != "metaspace-always" && variant["name"] != "llama2") continue;
    const Tokenizer tokenizer = MakeVariant(variant, temporary.path());
    for (const std::string text : {"a\xFF b", "\xE6\x97", "\xF0\x9F\xFFx\x80"}) {
      EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text) << variant["name"];
    }
  }
}

TEST(Tokenizer, TheConfigSaysWhatStandsAroundAText) {
  const TemporaryFolder temporary;
  const std::string file = ReadFile(kGolden + "/tokenizer.json");
  WriteFileAtomically(temporary.path() / "tokenizer.json", file);
  const auto complete = [&](const char* config) {
    WriteFileAtomically(temporary.path() / "tokenizer_config.json", config);
    return Tokenizer::Load(temporary.path()).Complete({9});
  };
  const int32_t bos = 0, eos = 1;
  EXPECT_EQ(complete("{}"), (std::vector<int32_t>{9}));
  const std::string names = R"("bos_token":"<｜begin▁of▁sentence｜>","eos_token":"<｜end▁of▁sentence｜>")";
  EXPECT_EQ(complete(("{" + names + R"(,"add_bos_token":true})").c_str()), (std::vector<int32_t>{bos, 9}));
  EXPECT_EQ(complete(("{" + names + R"(,"add_bos_token":true,"add_eos_token":true})").c_str()),
            (std::vector<int32_t>{bos, 9, eos}));
  EXPECT_EQ(complete(R"({"add_bos_token":true})"), (std::vector<int32_t>{9})) << "there is no such token";
}

TEST(Tokenizer, AnyBytesSurviveEncodingAndDecoding) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  Random random(3, kStreamTest);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    const uint64_t length = random.Below(120);
    while (text.size() < length) {
      switch (random.Below(4)) {
        case 0: text += static_cast<char>(random.Below(256)); break;
        case 1: AppendUtf8(static_cast<int32_t>(random.Below(0xD800)), &text); break;
        case 2: text += "<｜User｜><think> the lamp "[random.Below(30)]; break;
        default: text += "12 \n<think>"; break;
      }
    }
    ASSERT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
    ASSERT_EQ(tokenizer.Decode(tokenizer.Encode(text, true)), text);
    ASSERT_EQ(tokenizer.Decode(tokenizer.EncodeContent(text)), text);
  }
}

TEST(Tokenizer, AnInvalidByteIsItsOwnToken) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  const std::vector<int32_t> ids = tokenizer.Encode("lamp\xFFlamp");
  const std::vector<int32_t> lamp = tokenizer.Encode("lamp");
  ASSERT_EQ(ids.size(), 2 * lamp.size() + 1);
  EXPECT_EQ(tokenizer.TokenBytes(ids[lamp.size()]), "\xFF");
}

TEST(Tokenizer, SpecialTokensAreTextUnlessAskedFor) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  const std::string text = "<｜User｜>1<think>2</think><｜end▁of▁sentence｜>";
  const int32_t user = *tokenizer.SpecialId("<｜User｜>"), think = *tokenizer.SpecialId("<think>");
  const auto count = [](const std::vector<int32_t>& ids, int32_t id) { return std::count(ids.begin(), ids.end(), id); };
  EXPECT_EQ(count(tokenizer.Encode(text), user), 0);
  EXPECT_EQ(count(tokenizer.Encode(text), tokenizer.eos_id()), 0);
  EXPECT_EQ(count(tokenizer.Encode(text), think), 1) << "a marker is always found";
  EXPECT_EQ(tokenizer.EncodeContent(text), tokenizer.Encode(text));
  const std::vector<int32_t> ids = tokenizer.Encode(text, true);
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_EQ(tokenizer.Decode(ids), text);
  EXPECT_EQ(tokenizer.Decode(ids, true), "1<think>2</think>");
  EXPECT_TRUE(tokenizer.IsSpecial(user));
  EXPECT_FALSE(tokenizer.IsSpecial(think));
  EXPECT_FALSE(tokenizer.IsSpecial(-1));
  EXPECT_FALSE(tokenizer.SpecialId("lamp"));
}

TEST(Tokenizer, AnIdOutsideTheVocabularyIsAnError) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  EXPECT_THROW(tokenizer.TokenBytes(-1), Error);
  EXPECT_THROW(tokenizer.TokenBytes(tokenizer.vocab_size()), Error);
  EXPECT_THROW(tokenizer.Decode(std::vector<int32_t>{5, 1 << 30}), Error);
}

TEST(Tokenizer, SavedFilesAreTheSameBytes) {
  const TemporaryFolder temporary;
  const Tokenizer tokenizer = Tokenizer::Load(kGolden + "/tokenizer.json");
  tokenizer.SaveTo(temporary.path() / "a" / "b");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_EQ(ReadFile(temporary.path() / "a" / "b" / name), ReadFile(kGolden + "/" + name));
  }
  const Tokenizer again = Tokenizer::Load(temporary.path() / "a" / "b");
  EXPECT_EQ(again.hash(), tokenizer.hash());
  EXPECT_EQ(again.hash().size(), 64u);
  EXPECT_EQ(again.pad_id(), 2);
  EXPECT_THROW(tokenizer.SaveTo("/proc/nowhere"), Error);
}

TEST(Tokenizer, ConfigMayBeMissingButNotWrong) {
  const TemporaryFolder temporary;
  const std::string file = ReadFile(kGolden + "/tokenizer.json");
  WriteFileAtomically(temporary.path() / "tokenizer.json", file);
  const Tokenizer tokenizer = Tokenizer::Load(temporary.path());
  EXPECT_EQ(tokenizer.bos_id(), -1);
  EXPECT_EQ(tokenizer.eos_id(), -1);
  EXPECT_EQ(tokenizer.pad_id(), -1);
  WriteFileAtomically(temporary.path() / "tokenizer_config.json", R"({"bos_token":"<nowhere>"})");
  try {
    Tokenizer::Load(temporary.path());
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("tokenizer_config.json: bos_token is \"<nowhere>\""), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(Tokenizer::Load(temporary.path() / "missing"), Error);
}

TEST(Tokenizer, ManyThreadsGetTheSameIds) {
  Tokenizer moved = Tokenizer::Load(kGolden);
  const Tokenizer tokenizer = std::move(moved);
  const std::string text = ReadFile(kGolden + "/corpus.txt");
  const std::vector<int32_t> expected = tokenizer.Encode(text);
  std::vector<std::thread> threads;
  std::array<int, 4> wrong{};
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) count += tokenizer.Encode(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

TEST(StreamDecoder, NeverEmitsHalfACharacter) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  const std::string text = ReadFile(kGolden + "/corpus.txt") + "👩‍👧 日本\xE6\x97 \xFF\xF0\x9F";
  StreamDecoder decoder(tokenizer);
  std::string all;
  size_t held = 0;
  for (const int32_t id : tokenizer.Encode(text)) {
    const std::string ready = decoder.Push(id);
    EXPECT_EQ(CompleteUtf8Prefix(ready), ready.size());
    held += ready.empty();
    all += ready;
  }
  EXPECT_GT(held, 100u) << "the text must have characters of several tokens";
  EXPECT_TRUE(text.starts_with(all));
  EXPECT_EQ(text.size() - all.size(), 2u);
  EXPECT_EQ(all + decoder.Finish(), text);
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(Tokenizer, LongRunsTakeLinearTime) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  for (const char* unit : {"a", " ", "\n", "0", "=", "日", "\xFF", "ab"}) {
    const auto seconds = [&](size_t bytes) {
      std::string text;
      while (text.size() < bytes) text += unit;
      const std::clock_t start = std::clock();
      EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
      return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    seconds(10'000);
    const double small = seconds(100'000), large = seconds(1'000'000);
    EXPECT_LT(large, 0.02 + 40 * small) << unit << ": ten times the text; quadratic time would be a hundred times more";
    EXPECT_LT(large, 5) << unit;
  }
}

TEST(TokenizerSlow, TenMillionEqualCharacters) {
  const Tokenizer tokenizer = Tokenizer::Load(kGolden);
  for (const char* unit : {"a", " ", "\n", "0", "=", "日", "\xFF", "ab", "\t", "é", "'", "<"}) {
    std::string text;
    while (text.size() < 10'000'000) text += unit;
    const std::clock_t start = std::clock();
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 10) << unit << ": at least 1 MB/s";
  }
}

TEST(TokenizerSlow, MillionsOfEqualCharactersWithByteFallback) {
  const TemporaryFolder temporary;
  for (const Json& variant : ReadVariants()) {
    if (variant["name"] != "llama2" && variant["name"] != "metaspace-always") continue;
    const Tokenizer tokenizer = MakeVariant(variant, temporary.path());
    for (const char* unit : {"a", " ", "日", "▁", "a "}) {
      std::string text = "x";
      while (text.size() < 3'000'000) text += unit;
      const std::vector<int32_t> ids = tokenizer.Encode(text);
      const std::string back = tokenizer.Decode(ids);
      EXPECT_EQ(back.size(), std::string(unit) == "▁" ? 1 + (text.size() - 1) / 3 : text.size()) << unit;
    }
  }
}

}  // namespace
}  // namespace sputnik
