#include "app/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"
#include "text/tokenizer.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class TokenizerVerbs : public testing::Test {
 protected:
  std::string Write(const std::string& name, std::string_view text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  TemporaryFolder folder_;
  std::string out_ = folder_ / "tokenizer";
};

TEST_F(TokenizerVerbs, TrainMakesTheFilesOfATokenizer) {
  const std::string text = Write("text.txt", "the cat and the hat and the bat: the cat, the hat, the bat");
  const Outcome outcome = RunProgram({"tokenizer", "train", "--vocab-size", "275", "--out", out_, text, "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Tokenizer tokenizer = Tokenizer::Load(out_);
  const Json made = Json::parse(outcome.out);
  EXPECT_EQ(made["vocab_size"], 275);
  EXPECT_EQ(made["documents"], 1);
  EXPECT_EQ(made["hash"], tokenizer.hash());
  EXPECT_EQ(tokenizer.vocab_size(), 275);
  EXPECT_EQ(tokenizer.Encode(" the").size(), 1u);
  const Json config = Json::parse(ReadFile(fs::path(out_) / "tokenizer_config.json"));
  EXPECT_TRUE(config.contains("chat_template"));

  // The same text in pieces, in another order, gives the same file.
  Write("folder/b.txt", "the cat and the hat and the bat: ");
  Write("folder/a/c.jsonl", "{\"text\": \"the cat, the hat, the bat\"}\n");
  const std::string second = folder_ / "second";
  OutputOf({"tokenizer", "train", "--vocab-size", "275", "--out", second, folder_ / "folder"});
  OutputOf({"tokenizer", "train", "--vocab-size", "275", "--out", out_, Write("x.txt", "the cat, the hat, the bat"),
            folder_ / "folder/b.txt"});
  EXPECT_EQ(ReadFile(fs::path(second) / "tokenizer.json"), ReadFile(fs::path(out_) / "tokenizer.json"));
}

TEST_F(TokenizerVerbs, TrainKnowsItsFlags) {
  const std::string text = Write("text.txt", "2024 2024 2024 2024 and <mark> too");
  OutputOf({"tokenizer", "train", "--vocab-size", "270", "--out", out_, text, "--split-digits", "--special", "<mark>",
            "--max-length", "77"});
  const Tokenizer tokenizer = Tokenizer::Load(out_);
  EXPECT_EQ(tokenizer.Encode("2024").size(), 4u);
  EXPECT_TRUE(tokenizer.SpecialId("<mark>"));
  EXPECT_EQ(Json::parse(ReadFile(fs::path(out_) / "tokenizer_config.json"))["model_max_length"], 77);

  OutputOf({"tokenizer", "train", "--vocab-size", "270", "--out", out_, text});
  EXPECT_LT(Tokenizer::Load(out_).Encode("2024").size(), 4u);
}

TEST_F(TokenizerVerbs, TrainComplainsAndLeavesNothing) {
  const std::string text = Write("text.txt", "some text");
  EXPECT_MENTIONS(MessageOf(2, {"tokenizer", "train", "--vocab-size", "100", "--out", out_, text}), "265");
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "train", "--vocab-size", "300", "--out", out_, folder_ / "gone"}), "gone");
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "train", "--vocab-size", "300", "--out", out_, Write("e.txt", "")}),
                  "e.txt");
  const std::string binary = Write("b.txt", std::string_view("a\0b", 3));
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "train", "--vocab-size", "300", "--out", out_, binary}), "binary");
  const std::string latin = Write("l.txt", "caf\xe9 noir");
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "train", "--vocab-size", "300", "--out", out_, latin}), "l.txt");
  const std::string lines = Write("l.jsonl", "{\"text\": \"a\"}\n\n{\"txt\": \"b\"}\n");
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "train", "--vocab-size", "300", "--out", out_, lines}), "l.jsonl:3");
  EXPECT_MENTIONS(MessageOf(2, {"tokenizer", "train", "--out", out_, text}), "--vocab-size is missing");
  EXPECT_FALSE(fs::exists(fs::path(out_) / "tokenizer.json"));
}

class Coding : public TokenizerVerbs {
 protected:
  std::string Encode(const std::string& text, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"tokenizer", "encode", "--model", out_});
    return OutputOf(more, text);
  }
  std::string Decode(const std::string& ids, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"tokenizer", "decode", "--model", out_});
    return OutputOf(more, ids);
  }
  Tokenizer tokenizer_ = MakeByteTokenizer(out_);
};

TEST_F(Coding, OneArrayOfIdsPerLine) {
  const std::string lines = Encode("Hello\n\ncaf\xc3\xa9 \xf0\x9f\x9a\x80\nlast without an end");
  std::istringstream in(lines);
  std::vector<std::vector<int32_t>> ids;
  for (std::string line; std::getline(in, line);) ids.push_back(Json::parse(line).get<std::vector<int32_t>>());
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(ids[0], tokenizer_.Encode("Hello"));
  EXPECT_EQ(ids[1], std::vector<int32_t>{});
  EXPECT_EQ(ids[2], tokenizer_.Encode("caf\xc3\xa9 \xf0\x9f\x9a\x80"));
  EXPECT_EQ(ids[3].size(), 19u);
  EXPECT_EQ(Encode(""), "");
  EXPECT_EQ(Encode("\n"), "[]\n");
}

TEST_F(Coding, DecodeIsTheInverseOfEncode) {
  const std::string text =
      "Hello  there\n\n caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x9a\x80\t!\n<think>so</think>\n\xff\xfe "
      "broken\nlast\n";
  EXPECT_EQ(Decode(Encode(text)), text);
  EXPECT_EQ(Decode("[]\n[]\n"), "\n\n");
  EXPECT_EQ(Decode(Encode(text, {Write("text", "other\n")})), "other\n") << "a file instead of standard input";
  EXPECT_EQ(Decode("", {Write("ids", Encode("from a file"))}), "from a file\n");
  EXPECT_EQ(Encode(text, {"-"}), Encode(text));
}

TEST_F(Coding, ControlTokensAreTextUnlessAskedFor) {
  const std::string text = std::string(kEosToken) + "\n";
  EXPECT_GT(Json::parse(Encode(text)).size(), 5u);
  const std::string one = Encode(text, {"--special"});
  EXPECT_EQ(one, fmt::format("[{}]\n", tokenizer_.eos_id()));
  EXPECT_EQ(Decode(one), text);
  EXPECT_EQ(Decode(one, {"--skip-special"}), "\n");
}

TEST_F(Coding, JsonStringsMayHoldLineBreaks) {
  const std::string ids = Encode("\"a\\nb\"\n\"\\u00e9\"\n", {"--json"});
  EXPECT_EQ(
      ids, fmt::format("{}\n{}\n", Json(tokenizer_.Encode("a\nb")).dump(), Json(tokenizer_.Encode("\xc3\xa9")).dump()));
  EXPECT_EQ(Decode(ids, {"--json"}), "\"a\\nb\"\n\"\xc3\xa9\"\n");
  EXPECT_EQ(Decode(Json(tokenizer_.Encode("a\xff")).dump(), {"--json"}), "\"a\xef\xbf\xbd\"\n");
  EXPECT_MENTIONS(RunProgram({"tokenizer", "encode", "--model", out_, "--json"}, "7\n").err, "expected a JSON string");
}

TEST_F(Coding, ACompleteTextHasWhatTheConfigPutsAroundIt) {
  EXPECT_EQ(Encode("a", {"--complete"}), Encode("a"));
  Json config = ReadJsonFile(out_ + "/tokenizer_config.json");
  config["add_bos_token"] = true;
  WriteFileAtomically(out_ + "/tokenizer_config.json", config.dump());
  EXPECT_EQ(Encode("a", {"--complete"}), fmt::format("[{},{}]\n", tokenizer_.bos_id(), tokenizer_.Encode("a").at(0)));
  EXPECT_EQ(Encode("a"), fmt::format("[{}]\n", tokenizer_.Encode("a").at(0)));
}

TEST_F(Coding, BrokenIdsAreNamedByLine) {
  const auto message = [&](const std::string& ids) {
    return RunProgram({"tokenizer", "decode", "--model", out_}, ids).err;
  };
  EXPECT_MENTIONS(message("[1]\n[2\n"), "standard input:2");
  EXPECT_MENTIONS(message("[1]\n[265]\n"), "standard input:2: the tokenizer has no id 265; its ids are 0 to 264");
  EXPECT_MENTIONS(message("[-1]\n"), "standard input:1: -1 is no token id");
  EXPECT_MENTIONS(message("\n"), "standard input:1");
  const std::string file = Write("ids", "[1]\n{}\n");
  EXPECT_MENTIONS(RunProgram({"tokenizer", "decode", "--model", out_, file}).err, file + ":2");
  EXPECT_EQ(RunProgram({"tokenizer", "decode", "--model", out_, file}).code, 3);
}

TEST_F(Coding, MissingFilesAreNamed) {
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "encode", "--model", out_, folder_ / "gone"}), "gone");
  EXPECT_MENTIONS(MessageOf(3, {"tokenizer", "encode", "--model", folder_.path()}), "no tokenizer.json");
  EXPECT_MENTIONS(MessageOf(2, {"tokenizer", "encode"}), "--model is missing");
}

}  // namespace
}  // namespace sputnik
