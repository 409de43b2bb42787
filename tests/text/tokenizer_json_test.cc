#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace sputnik {
namespace {

const std::string kGolden = SPUTNIK_SOURCE_DIR "/tests/golden/tokenizer/tokenizer.json";

// The golden file, changed; what the error says about it.
std::string ErrorAfter(const std::function<void(Json&)>& change) {
  Json json = ReadJsonFile(kGolden);
  change(json);
  try {
    ParseTokenizerJson(json.dump(), "dir/tokenizer.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_TRUE(std::string(error.what()).starts_with("dir/tokenizer.json: ")) << error.what();
    return error.what();
  }
  return "accepted";
}

#define EXPECT_REFUSED(change, says)                                                \
  do {                                                                              \
    const std::string message = ErrorAfter([](Json& json) { change; });             \
    EXPECT_NE(message.find(says), std::string::npos) << #change << ": " << message; \
  } while (false)

TEST(TokenizerJson, WhatIsWrittenReadsBackTheSame) {
  const std::string text = ReadFile(kGolden);
  const TokenizerJson file = ParseTokenizerJson(text, kGolden);
  EXPECT_EQ(file.names.size(), 512);
  EXPECT_EQ(file.added.size(), 9u);
  EXPECT_EQ(file.steps.size(), 2u);
  EXPECT_EQ(FormatTokenizerJson(file), text);
}

TEST(TokenizerJson, UnchangedAndHarmlesslyChangedIsAccepted) {
  EXPECT_EQ(ErrorAfter([](Json&) {}), "accepted");
  EXPECT_EQ(ErrorAfter([](Json& json) {
              json["truncation"] = {{"max_length", 5}};
              json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
              json["post_processor"] = nullptr;
              json["model"]["merges"][0] = {"a", "b"};
              json["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Digits"}, {"individual_digits", true}};
            }),
            "accepted");
}

TEST(TokenizerJson, RefusesByNameWhatItDoesNotSupport) {
  EXPECT_REFUSED(json["model"]["type"] = "WordPiece", "model.type = \"WordPiece\"");
  EXPECT_REFUSED(json["model"]["dropout"] = 0.1, "model.dropout");
  EXPECT_REFUSED(json["model"]["end_of_word_suffix"] = "</w>", "model.end_of_word_suffix");
  EXPECT_REFUSED(json["model"]["continuing_subword_prefix"] = "##", "model.continuing_subword_prefix");
  EXPECT_REFUSED(json["model"]["shrink"] = true, "model.shrink = true is not supported");
  EXPECT_REFUSED(json["model"]["unk_token"] = 3, "model.unk_token is missing or not a string");
  EXPECT_REFUSED(json["model"]["fuse_unk"] = 3, "model.fuse_unk is not true or false");
  EXPECT_REFUSED(json["added_tokens"][0]["doublestrip"] = true, "added_tokens[0].doublestrip");
  EXPECT_REFUSED((json["some_future_key"] = {{"vocab", {{"a", "b"}}}, {"merges", 1}}),
                 "the file's content.some_future_key");
  EXPECT_REFUSED(json["normalizer"] = Json({{"type", "Nmt"}}), "normalizer.type = \"Nmt\"");
  EXPECT_REFUSED(json["decoder"]["type"] = "WordPiece", "decoder.type = \"WordPiece\"");
  EXPECT_REFUSED(json["pre_tokenizer"]["pretokenizers"][0]["type"] = "UnicodeScripts",
                 "pre_tokenizer.pretokenizers[0].type = \"UnicodeScripts\"");
}

TEST(TokenizerJson, ReadsTheModelsFlags) {
  Json json = ReadJsonFile(kGolden);
  TokenizerJson file = ParseTokenizerJson(json.dump(), "t");
  EXPECT_TRUE(file.byte_level);
  EXPECT_FALSE(file.byte_fallback || file.fuse_unknown || file.ignore_merges);
  EXPECT_EQ(file.unknown, "");
  json["model"].update({{"byte_fallback", true}, {"fuse_unk", true}, {"ignore_merges", true}, {"unk_token", "<u>"}});
  json["pre_tokenizer"] = nullptr;
  json["added_tokens"][1].update({{"single_word", true}, {"lstrip", true}, {"rstrip", true}});
  file = ParseTokenizerJson(json.dump(), "t");
  EXPECT_FALSE(file.byte_level);
  EXPECT_TRUE(file.byte_fallback && file.fuse_unknown && file.ignore_merges);
  EXPECT_EQ(file.unknown, "<u>");
  EXPECT_TRUE(file.added[1].single_word && file.added[1].lstrip && file.added[1].rstrip);
  EXPECT_FALSE(file.added[0].single_word || file.added[0].lstrip || file.added[0].rstrip);
}

TEST(TokenizerJson, RefusesAKeyThatIsThereTwice) {
  try {
    ParseTokenizerJson(R"({"model":{"type":"BPE","vocab":{},"merges":[],"type":"BPE"}})", "t");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("\"type\" is there twice"), std::string::npos) << error.what();
  }
}

TEST(TokenizerJson, RefusesWrongShapes) {
  EXPECT_REFUSED(json = Json::array(), "not an object");
  EXPECT_REFUSED(json.erase("model"), "model is missing");
  EXPECT_REFUSED(json["model"] = 3, "model is missing or not an object");
  EXPECT_REFUSED(json["model"].erase("vocab"), "model.vocab is missing");
  EXPECT_REFUSED(json["model"]["vocab"] = Json::array(), "model.vocab is missing or not an object");
  EXPECT_REFUSED(json["model"].erase("merges"), "model.merges is missing");
  EXPECT_REFUSED(json["model"]["merges"] = Json::object(), "model.merges is missing or not an array");
  EXPECT_REFUSED(json.erase("decoder"), "decoder is missing");
  EXPECT_REFUSED(json["pre_tokenizer"] = 1, "pre_tokenizer is missing or not an object");
  EXPECT_REFUSED(json["pre_tokenizer"]["pretokenizers"] = 1, "pretokenizers is missing or not an array");
  EXPECT_REFUSED(json["pre_tokenizer"]["pretokenizers"][1].erase("pattern"), "pattern is missing");
  EXPECT_REFUSED(json["pre_tokenizer"]["pretokenizers"][1]["pattern"]["Regex"] = 5, "pattern.Regex");
  EXPECT_REFUSED(json["added_tokens"] = 1, "added_tokens is not an array");
  EXPECT_REFUSED(json["added_tokens"][2].erase("content"), "added_tokens[2].content");
  EXPECT_REFUSED(json["added_tokens"][2]["content"] = "", "has 0 bytes");
  EXPECT_REFUSED(json["added_tokens"][2]["content"] = std::string(1 << 20, 'x'), "has 1048576 bytes");
  EXPECT_REFUSED(json["added_tokens"][2]["special"] = "yes", "special is not true or false");
  for (const Json& id : {Json(-1), Json(1.5), Json("1"), Json(1LL << 31), Json(UINT64_MAX), Json(nullptr)}) {
    const std::string message = ErrorAfter([&](Json& json) { json["added_tokens"][2]["id"] = id; });
    EXPECT_NE(message.find("added_tokens[2].id"), std::string::npos) << message;
  }
}

TEST(TokenizerJson, RefusesWrongEntriesOfTheModel) {
  for (const Json& id : {Json(1.5), Json("1"), Json(nullptr), Json(true), Json::array({1}), Json({{"a", 1}})}) {
    const std::string message = ErrorAfter([&](Json& json) { json["model"]["vocab"]["zz"] = id; });
    EXPECT_NE(message.find("the id of \"zz\" is not a whole number"), std::string::npos) << message;
  }
  for (const Json& merge :
       {Json("ab"), Json("a b c"), Json(1), Json::array({"a"}), Json::array({"a", "b", "c"}), Json(nullptr),
        Json::array({1, 2}), Json({{"a", 1}}), Json::array({Json::array({"a", "b"})})}) {
    const std::string message = ErrorAfter([&](Json& json) { json["model"]["merges"][3] = merge; });
    EXPECT_NE(message.find("model.merges: entry 3 is not two tokens"), std::string::npos) << merge << ": " << message;
  }
}

TEST(TokenizerJson, RefusesBrokenTextAtEveryCut) {
  const std::string text = ReadFile(kGolden);
  for (size_t cut = 0; cut + 2 < text.size(); cut += 97) {
    EXPECT_THROW(ParseTokenizerJson(std::string_view(text).substr(0, cut), "t"), Error) << cut;
  }
  EXPECT_THROW(ParseTokenizerJson(std::string(100000, '['), "t"), Error);
  EXPECT_THROW(ParseTokenizerJson(R"({"model":{"vocab":{},"vocab":{}}})", "t"), Error);
  EXPECT_THROW(ParseTokenizerJson(R"({"model":{"merges":[],"merges":[]}})", "t"), Error);
  EXPECT_THROW(ParseTokenizerJson("{\"model\":{\"type\":\"\xFF\"}}", "t"), Error);
}

TEST(TokenizerJson, ConfigNamesComeAsStringsOrObjects) {
  const SpecialTokenNames names =
      ParseTokenizerConfig(R"({"bos_token":"<b>","eos_token":{"content":"<e>","lstrip":false},"pad_token":null})", "c");
  EXPECT_EQ(names.bos, "<b>");
  EXPECT_EQ(names.eos, "<e>");
  EXPECT_EQ(names.pad, "");
  EXPECT_FALSE(names.add_bos || names.add_eos);
  const SpecialTokenNames flags = ParseTokenizerConfig(R"({"add_bos_token":true,"add_eos_token":null})", "c");
  EXPECT_EQ(flags.add_bos, true);
  EXPECT_EQ(flags.add_eos, false) << "a key that is there decides";
  EXPECT_THROW(ParseTokenizerConfig(R"({"add_bos_token":5})", "c"), Error);
  EXPECT_THROW(ParseTokenizerConfig(R"({"bos_token":5})", "c"), Error);
  EXPECT_THROW(ParseTokenizerConfig(R"({"bos_token":{"text":"x"}})", "c"), Error);
  EXPECT_THROW(ParseTokenizerConfig("[]", "c"), Error);
  EXPECT_THROW(ParseTokenizerConfig("{", "c"), Error);
  const SpecialTokenNames again = ParseTokenizerConfig(FormatTokenizerConfig(names, "{{ x }}", 77), "c");
  EXPECT_EQ(again.bos, "<b>");
  EXPECT_EQ(again.pad, "");
}

}  // namespace
}  // namespace sputnik
