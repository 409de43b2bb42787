#include "text/tokenizer_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

// All bytes, then "ab" and "abc", then an added token beside the vocabulary.
TokenizerJson Small() {
  TokenizerJson json;
  for (int byte = 0; byte < 256; ++byte) {
    std::string name;
    AppendUtf8(ByteLevelChar(static_cast<uint8_t>(byte)), &name);
    json.names.Add(name);
    json.ids.push_back(byte);
  }
  json.names.Add("Ġb");
  json.ids.push_back(256);
  json.names.Add("Ġbc");
  json.ids.push_back(257);
  for (const char* part : {"Ġ", "b", "Ġb", "c"}) json.merges.Add(part);
  json.added.push_back({.content = "<｜x｜>", .id = 258});
  json.steps.push_back({"a"});
  return json;
}

std::string ErrorAfter(const std::function<void(TokenizerJson&)>& change) {
  TokenizerJson json = Small();
  change(json);
  try {
    ResolveTokenizer(json, "dir/tokenizer.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_TRUE(std::string(error.what()).starts_with("dir/tokenizer.json: ")) << error.what();
    return error.what();
  }
  return "accepted";
}

#define EXPECT_REFUSED(change, says)                                                \
  do {                                                                              \
    const std::string message = ErrorAfter([](TokenizerJson& json) { change; });    \
    EXPECT_NE(message.find(says), std::string::npos) << #change << ": " << message; \
  } while (false)

TEST(TokenizerFile, NamesBecomeIdsAndBytes) {
  const TokenizerFile file = ResolveTokenizer(Small(), "t");
  EXPECT_EQ(file.names.size(), 259);
  EXPECT_EQ(file.names[0x20], "Ġ");
  EXPECT_EQ(file.names[257], "Ġbc");
  EXPECT_EQ(file.names[258], "<｜x｜>");
  EXPECT_EQ(file.vocabulary.byte_ids[0x80], 0x80);
  EXPECT_TRUE(file.vocabulary.byte_level);
  EXPECT_EQ(file.vocabulary.whole.size(), 0);
  ASSERT_EQ(file.merges.size(), 2u);
  EXPECT_EQ(file.merges[1].left, 256);
  EXPECT_EQ(file.merges[1].right, 'c');
  EXPECT_EQ(file.merges[1].result, 257);
}

// <u>, the bytes 0x00 and 0xFF, U+2581, a, and some words.
TokenizerJson Characters(std::vector<std::string> words, std::vector<std::string> merges) {
  TokenizerJson json;
  json.byte_level = false;
  json.byte_fallback = true;
  for (const std::string& name :
       {std::string("<u>"), std::string("<0x00>"), std::string("<0xFF>"), std::string("▁"), std::string("a")}) {
    words.insert(words.begin() + static_cast<std::ptrdiff_t>(json.ids.size()), name);
    json.ids.push_back(static_cast<int64_t>(json.ids.size()));
  }
  for (size_t i = 0; i < words.size(); ++i) {
    json.names.Add(words[i]);
    if (i >= json.ids.size()) json.ids.push_back(static_cast<int64_t>(i));
  }
  for (const std::string& part : merges) json.merges.Add(part);
  return json;
}

TEST(TokenizerFile, CharactersAndFallbackBytesAreFound) {
  TokenizerJson json = Characters({"▁a"}, {"▁", "a"});
  BpeVocabulary vocabulary = ResolveTokenizer(json, "t").vocabulary;
  EXPECT_FALSE(vocabulary.byte_level);
  EXPECT_EQ(vocabulary.characters, (std::vector<std::pair<int32_t, int32_t>>{{0x2581, 3}, {'a', 4}}));
  EXPECT_EQ(vocabulary.byte_ids[0], 1);
  EXPECT_EQ(vocabulary.byte_ids[1], -1);
  EXPECT_EQ(vocabulary.byte_ids[255], 2);
  EXPECT_EQ(vocabulary.unknown, -1);
  json.unknown = "<u>";
  json.byte_fallback = false;
  vocabulary = ResolveTokenizer(json, "t").vocabulary;
  EXPECT_EQ(vocabulary.unknown, 0);
  EXPECT_EQ(vocabulary.byte_ids[255], -1);
  json.unknown = "<nowhere>";
  EXPECT_THROW(ResolveTokenizer(json, "t"), Error);
}

TEST(TokenizerFile, WordsStandAloneUnlessAMergeGoesOverTheirStart) {
  const auto alone = [](const TokenizerJson& json) { return ResolveTokenizer(json, "t").vocabulary.words_stand_alone; };
  EXPECT_TRUE(alone(Characters({"▁a", "▁▁"}, {"▁", "a", "▁", "▁"})));
  EXPECT_FALSE(alone(Characters({"a▁"}, {"a", "▁"})));
  EXPECT_FALSE(alone(Characters({"▁a", "▁a▁"}, {"▁", "a", "▁a", "▁"})));
  TokenizerJson whole = Characters({"▁a"}, {"▁", "a"});
  whole.ignore_merges = true;
  EXPECT_FALSE(alone(whole)) << "a piece that is a token would be cut";
  EXPECT_EQ(ResolveTokenizer(whole, "t").vocabulary.whole.size(), 6);
  EXPECT_FALSE(alone(Small()));
}

TEST(TokenizerFile, RefusesATemplatesUnknownId) {
  EXPECT_EQ(ErrorAfter([](TokenizerJson& json) { json.post = {{258, kTextItself}}; }), "accepted");
  EXPECT_REFUSED((json.post = {{259, kTextItself}}), "post_processor: no token has id 259");
}

TEST(TokenizerFile, AnAddedTokenMayBeInTheVocabularyToo) {
  EXPECT_EQ(ErrorAfter([](TokenizerJson& json) {
              json.names.Add("<｜x｜>");
              json.ids.push_back(258);
            }),
            "accepted");
  EXPECT_REFUSED((json.names.Add("<｜x｜>"), json.ids.push_back(259)), "\"<｜x｜>\" has id 259 in model.vocab and 258");
  EXPECT_REFUSED((json.added[0] = {.content = "Ġb", .id = 256}), "also the name of other bytes");
}

TEST(TokenizerFile, RefusesIdsThatMakeNoSense) {
  EXPECT_REFUSED(json.ids[3] = -1, "has the negative id -1");
  EXPECT_REFUSED(json.ids[3] = 4, "id 4 belongs to both");
  EXPECT_REFUSED(json.ids[3] = 259, "the ids must be 0 to 258 without gaps");
  EXPECT_REFUSED(json.ids[3] = int64_t{1} << 31, "without gaps");
  EXPECT_REFUSED(json.ids[3] = INT64_MAX, "without gaps");
  EXPECT_REFUSED(json.added[0].id = 300, "without gaps");
  EXPECT_REFUSED(json.added[0].id = 70, "belongs to both \"F\" and \"<｜x｜>\"");
  EXPECT_REFUSED((json.added.push_back({.content = "<y>", .id = 258})), "id 258 belongs to both");
  EXPECT_REFUSED((json.added.push_back({.content = "<｜x｜>", .id = 259})), "\"<｜x｜>\" is there twice");
  EXPECT_REFUSED((json.names.Add("a"), json.ids.push_back(259)), "\"a\" is there twice");
  // An added token that is also in the vocabulary fills no id of its own, so the last one is missing.
  EXPECT_REFUSED(
      (json.names.Add("<｜x｜>"), json.ids.push_back(258), json.added.push_back({.content = "<y>", .id = 260})),
      "no token has id 259");
}

TEST(TokenizerFile, RefusesMergesThatMakeNoSense) {
  EXPECT_REFUSED((json.merges.Add("c"), json.merges.Add("c")), "needs the token \"cc\", which model.vocab lacks");
  EXPECT_REFUSED((json.merges.Add("zz"), json.merges.Add("c")), "needs the token \"zz\"");
  EXPECT_REFUSED((json.merges.Add(""), json.merges.Add("c")), "entry 2 has an empty side");
  EXPECT_REFUSED((json.merges.Add("Ġ"), json.merges.Add("b")), "is there twice");
}

TEST(TokenizerFile, RefusesAMissingByte) {
  TokenizerJson json = Small();
  TokenTable names;
  for (int32_t i = 0; i < json.names.size(); ++i) names.Add(i == 'Q' ? "QQ" : json.names[i]);
  json.names = names;
  EXPECT_THROW(
      try { ResolveTokenizer(json, "t"); } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("the token of the byte 0x51"), std::string::npos) << error.what();
        throw;
      },
      Error);
}

}  // namespace
}  // namespace sputnik
