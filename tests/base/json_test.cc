#include "base/json.h"

#include "base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(Json, ParsesAndReadsFiles) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a.json", R"({"b": [1, 2.5, "é", null], "a": true})");
  const Json json = ReadJsonFile(folder / "a.json");
  EXPECT_EQ(json["b"][2], "é");
  EXPECT_EQ(json.dump(), R"({"a":true,"b":[1,2.5,"é",null]})");
}

TEST(Json, OrderedJsonKeepsTheWritersOrder) {
  OrderedJson json;
  json["zebra"] = 1;
  json["apple"] = 2;
  EXPECT_EQ(json.dump(), R"({"zebra":1,"apple":2})");
}

TEST(Json, ErrorsNameSourceAndPlace) {
  const auto message_for = [](std::string_view text) {
    return ExpectError(ExitCode::kBadInput, [&] { ParseJson(text, "config.json"); });
  };
  const std::string message = message_for("{\n  \"a\": 1,\n  b\n}");
  EXPECT_MENTIONS(message, "config.json: not valid JSON: ");
  EXPECT_MENTIONS(message, "line 3");
  EXPECT_EQ(message.find("json.exception"), std::string::npos) << message;
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "1 2", "\"\x01\"", "\"\xff\"", "'a'", "[1e999]",
                          "\"\\ud800\"", "{\"a\" 1}", "NaN", "// comment\n1"}) {
    EXPECT_MENTIONS(message_for(bad), "config.json: ");
  }
  const TemporaryFolder folder;
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadJsonFile(folder / "none.json"); }), "none.json");
}

TEST(Json, ErrorsStayShort) {
  const std::string endless = "{\"a\": \"" + std::string(1'000'000, 'x');
  EXPECT_LT(ExpectError(ExitCode::kBadInput, [&] { ParseJson(endless, "a.json"); }).size(), 400u);
}

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

TEST(Json, DepthIsLimited) {
  EXPECT_NO_THROW(ParseJson(Nested(128), "a.json"));
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [] { ParseJson(Nested(129), "a.json"); }), "deeper than 128");
  // A stack would overflow long before this, were it used.
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [] { ParseJson(Nested(1'000'000), "a.json"); }), "deeper than 128");
  std::string objects;
  for (int i = 0; i < 200; ++i) objects += "{\"a\":";
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ParseJson(objects, "a.json"); }), "deeper than 128");
}

TEST(Json, AStrictFileHasEachNameOnce) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "config.json";
  const auto refusal = [&](std::string_view text, uint64_t most = 1000) {
    WriteFileAtomically(path, text);
    return ExpectError(ExitCode::kBadInput, [&] { ReadStrictJsonFile(path, most); });
  };
  EXPECT_MENTIONS(refusal(R"({"a":1,"b":{"c":1},"a":2})"), "config.json: `a` stands twice");
  EXPECT_MENTIONS(refusal(R"({"b":[{"c":1,"\u0063":2}]})"), "`c` stands twice");
  EXPECT_MENTIONS(refusal(R"({"a":)"), "not valid JSON");
  EXPECT_MENTIONS(refusal("[1, 2, 3]", 8), "9 bytes are more than");
  EXPECT_MENTIONS(refusal(Nested(129)), "deeper than 128");
  WriteFileAtomically(path, R"({"a":{"b":1},"b":{"a":1},"c":[{"b":1},{"b":1}]})");
  EXPECT_EQ(ReadStrictJsonFile(path, 1000)["a"]["b"], 1);
  EXPECT_EQ(ReadJsonFile(path)["b"]["a"], 1);
}

}  // namespace
}  // namespace sputnik
