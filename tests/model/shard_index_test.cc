#include "model/shard_index.h"

#include "base/json.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

std::string Refusal(std::string_view text) {
  const std::string message = ExpectError(ExitCode::kBadInput, [&] { ParseShardIndex(text, "some/index"); });
  EXPECT_EQ(message.find("some/index: "), 0u) << message;
  EXPECT_LT(message.size(), 600u);
  return message;
}

TEST(ShardIndexTest, SaysWhichFileHoldsWhat) {
  const ShardIndex index = ParseShardIndex(
      R"( {"metadata": {"total_size": 12, "more": [{"x": 1}]}, "other": [[1, null]],
           "weight_map": {"b": "two.safetensors", "a": "one.safetensors", "c": "two.safetensors"}} )",
      "index");
  EXPECT_EQ(index.files, (std::vector<std::string>{"two.safetensors", "one.safetensors"}));
  EXPECT_EQ(index.file_of, (std::map<std::string, size_t>{{"a", 1}, {"b", 0}, {"c", 0}}));
  EXPECT_EQ(index.total_size, 12u);
  EXPECT_EQ(ParseShardIndex(R"({"metadata":{"total_size":1.2e9},"weight_map":{}})", "index").total_size,
            1'200'000'000u);
  EXPECT_EQ(ParseShardIndex(R"({"weight_map":{}})", "index").total_size, std::nullopt);
}

TEST(ShardIndexTest, WhatIsWrittenIsRead) {
  const ShardIndex index{.files = {"x", "y"}, .file_of = {{"a", 0}, {"\"b\"", 1}}, .total_size = uint64_t{1} << 60};
  const ShardIndex again = ParseShardIndex(WriteShardIndex(index), "index");
  EXPECT_EQ(again.total_size, index.total_size);
  EXPECT_EQ(again.files[again.file_of.at("a")], "x");
  EXPECT_EQ(again.files[again.file_of.at("\"b\"")], "y");
}

TEST(ShardIndexTest, NoFileOutsideOfTheFolderIsNamed) {
  for (const char* file : {"../x", "/etc/passwd", "a/b", ".", "..", "", "a\\\\b", "C:x", "a\\u0000b", "a\\nb"}) {
    EXPECT_MENTIONS(Refusal(std::string(R"({"weight_map":{"t":")") + file + "\"}}"), "tensor `t` is in");
  }
}

TEST(ShardIndexTest, NamesThatStandTwice) {
  EXPECT_MENTIONS(Refusal(R"({"weight_map":{"a":"x","a":"x"}})"), "names `a` twice");
  EXPECT_MENTIONS(Refusal(R"({"weight_map":{"a":"x","\u0061":"x"}})"), "names `a` twice");
  EXPECT_MENTIONS(Refusal(R"({"weight_map":{"a":"x"},"weight_map":{}})"), "names `weight_map` twice");
  EXPECT_MENTIONS(Refusal(R"({"metadata":{},"metadata":{},"weight_map":{}})"), "names `metadata` twice");
  EXPECT_MENTIONS(Refusal(R"({"metadata":{"total_size":1,"total_size":1},"weight_map":{}})"), "`total_size` twice");
}

TEST(ShardIndexTest, TextsThatAreNoIndex) {
  for (const char* text : {"", "{", "{} {}", "{\"weight_map\":{\"a\":\"x\",}}", "{\"a\xff\":1}"}) {
    EXPECT_MENTIONS(Refusal(text), "not valid JSON");
  }
  for (const char* text : {"{}", "[]", "1", "null", "\"x\"", R"({"weight_map":1})", R"({"weight_map":[]})"}) {
    EXPECT_MENTIONS(Refusal(text), "no `weight_map` object");
  }
  for (const char* file : {"1", "null", "true", "{}", "[]", "-1", "1.5", "[\"x\"]"}) {
    EXPECT_MENTIONS(Refusal(std::string(R"({"weight_map":{"t":)") + file + "}}"),
                    "the file of tensor `t` is not a string");
  }
  for (const char* total : {"-1", "1.5", "\"12\"", "null", "[]", "{}", "1e30"}) {
    EXPECT_MENTIONS(Refusal(std::string(R"({"metadata":{"total_size":)") + total + R"(},"weight_map":{}})"),
                    "`total_size` is not a whole number");
  }
}

TEST(ShardIndexTest, MoreThanAModelNeedsIsRefused) {
  EXPECT_MENTIONS(Refusal("{\"x\":" + std::string(100'000, '[')), "nested deeper");
  EXPECT_MENTIONS(Refusal("{\"weight_map\":{\"" + std::string(2000, 'n') + "\":\"x\"}}"), "longer than 1024 bytes");
  std::string files = "{\"weight_map\":{", tensors = files;
  for (int i = 0; i <= 4096; ++i) files += fmt::format("{}\"t{}\":\"f{}\"", i == 0 ? "" : ",", i, i);
  EXPECT_MENTIONS(Refusal(files + "}}"), "more than 4096 files");
  for (int i = 0; i <= 1 << 17; ++i) tensors += fmt::format("{}\"{}\":\"f\"", i == 0 ? "" : ",", i);
  EXPECT_MENTIONS(Refusal(tensors + "}}"), "more than 131072 tensors");
}

}  // namespace
}  // namespace sputnik
