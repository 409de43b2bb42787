#include "text/pipeline_json.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace sputnik {
namespace {

std::string ErrorOf(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    return error.what();
  }
  return "accepted";
}

Json Parse(const char* text) { return ParseJson(text, "test"); }

TEST(PipelineJson, NormalizersBecomeSteps) {
  const auto steps = ReadNormalizer(Parse(R"({"type":"Sequence","normalizers":[{"type":"NFKC"},
      {"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"}]},
      {"type":"Replace","pattern":{"String":" "},"content":"_"},{"type":"Strip","strip_left":false,"strip_right":true},
      {"type":"Lowercase"}]})"),
                                    "f");
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[0].kind, NormalizerStep::Kind::kNfkc);
  EXPECT_EQ(steps[1].content, "_");
  EXPECT_TRUE(steps[2].literal);
  EXPECT_TRUE(!steps[3].left && steps[3].right);
  EXPECT_EQ(steps[4].kind, NormalizerStep::Kind::kLowercase);
  EXPECT_TRUE(ReadNormalizer(nullptr, "f").empty());
}

TEST(PipelineJson, PreTokenizersBecomeSteps) {
  bool byte_level = false;
  auto steps = ReadPreTokenizer(Parse(R"({"type":"Sequence","pretokenizers":[
      {"type":"Split","pattern":{"Regex":"a"},"behavior":"MergedWithNext","invert":true},
      {"type":"Digits","individual_digits":false},{"type":"Punctuation"},
      {"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}]})"),
                                "f", &byte_level);
  EXPECT_TRUE(byte_level);
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_TRUE(steps[0].invert);
  EXPECT_EQ(steps[0].behavior, SplitBehavior::kMergedWithNext);
  EXPECT_EQ(steps[1].behavior, SplitBehavior::kContiguous);
  EXPECT_EQ(steps[2].behavior, SplitBehavior::kIsolated);
  EXPECT_EQ(steps[3].kind, PreTokenizerStep::Kind::kPrefixSpace);
  EXPECT_EQ(steps[4].kind, PreTokenizerStep::Kind::kPattern);
  steps = ReadPreTokenizer(Parse(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false})"),
                           "f", &byte_level);
  EXPECT_FALSE(byte_level);
  EXPECT_EQ(steps[0].prepend, PrependScheme::kFirst);
  EXPECT_FALSE(steps[0].cut);
  steps = ReadPreTokenizer(nullptr, "f", &byte_level);
  EXPECT_TRUE(steps.empty() && !byte_level);
}

TEST(PipelineJson, TemplatesBecomeIds) {
  const auto templates = ReadPostProcessor(Parse(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
      {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
       "pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[7,8],"tokens":["<s>","x"]}}}]})"),
                                           "f");
  EXPECT_EQ(templates, (std::vector<PostTemplate>{{7, 8, kTextItself}}));
}

TEST(PipelineJson, DecodersBecomeSteps) {
  const auto steps = ReadDecoder(Parse(R"({"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},
      {"type":"Strip","content":" ","start":1,"stop":0}]})"),
                                 "f");
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_EQ(steps[0].content, " ");
  EXPECT_EQ(steps[1].kind, DecoderStep::Kind::kByteFallback);
  EXPECT_EQ(steps[3].start, 1);
  EXPECT_TRUE(ReadDecoder(Parse(R"({"type":"Metaspace","replacement":"_"})"), "f")[0].drop_first);
  EXPECT_FALSE(
      ReadDecoder(Parse(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"never"})"), "f")[0].drop_first);
}

TEST(PipelineJson, RefusesByName) {
  const auto normalizer = [](const char* text) { return ErrorOf([&] { ReadNormalizer(Parse(text), "f"); }); };
  const auto pre_tokenizer = [](const char* text) {
    bool byte_level = false;
    return ErrorOf([&] { ReadPreTokenizer(Parse(text), "f", &byte_level); });
  };
  const auto post = [](const char* text) { return ErrorOf([&] { ReadPostProcessor(Parse(text), "f"); }); };
  const auto decoder = [](const char* text) { return ErrorOf([&] { ReadDecoder(Parse(text), "f"); }); };
#define EXPECT_SAYS(message, says) EXPECT_NE((message).find(says), std::string::npos) << (message)
  EXPECT_SAYS(normalizer(R"({"type":"Nmt"})"), "f: normalizer.type = \"Nmt\" is not supported");
  EXPECT_SAYS(normalizer(R"({"type":"NFC","deep":1})"), "normalizer.deep = 1");
  EXPECT_SAYS(normalizer(R"({"type":"Sequence","normalizers":[{"type":"BertNormalizer"}]})"), "normalizers[0].type");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"Shuffled"})"), "\"Shuffled\"");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})"),
              "a step after ByteLevel");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"Metaspace","replacement":"ab"})"), "is not one character");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"often"})"), "\"often\"");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})"), "add_prefix_space");
  EXPECT_SAYS(pre_tokenizer(R"({"type":"BertPreTokenizer"})"), "BertPreTokenizer");
  EXPECT_SAYS(post(R"({"type":"RobertaProcessing"})"), "RobertaProcessing");
  EXPECT_SAYS(post(R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}]})"), "Sequence.id = \"B\"");
  EXPECT_SAYS(post(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}})"),
              "special_tokens[\"x\"] is missing");
  EXPECT_SAYS(post(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],
                       "special_tokens":{"x":{"ids":[-1]}}})"),
              "-1 is not a token's id");
  EXPECT_SAYS(decoder(R"({"type":"CTC"})"), "decoder.type = \"CTC\"");
  EXPECT_SAYS(decoder(R"({"type":"Strip","content":" ","start":-1,"stop":0})"), "decoder.start = -1");
  EXPECT_SAYS(decoder("null"), "decoder is missing or not an object");
#undef EXPECT_SAYS
}

}  // namespace
}  // namespace sputnik
