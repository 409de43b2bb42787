#include "base/jsonl.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

constexpr std::string_view kExpected = R"({"text": "..."})";

std::filesystem::path Write(const TemporaryFolder& folder, std::string_view text) {
  const std::filesystem::path path = folder / "data.jsonl";
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<int64_t> Lines(const std::filesystem::path& path, size_t limit = kMaxLineBytes) {
  std::vector<int64_t> lines;
  const auto add = [&](const Json& object, int64_t line) {
    EXPECT_TRUE(object.is_object());
    lines.push_back(line);
  };
  ForEachJsonLine(path, kExpected, add, limit);
  return lines;
}

TEST(Jsonl, CountsLinesAndSkipsBlankOnes) {
  const TemporaryFolder folder;
  EXPECT_EQ(Lines(Write(folder, "\xEF\xBB\xBF{\"a\":1}\r\n\n  \t\r\n{\"b\":2}")), (std::vector<int64_t>{1, 4}));
  EXPECT_TRUE(Lines(Write(folder, "")).empty());
  EXPECT_TRUE(Lines(Write(folder, "\n\n")).empty());
}

TEST(Jsonl, NamesTheLineAndWhatWasExpected) {
  const TemporaryFolder folder;
  for (const char* broken : {"{\"a\":1}\n{\"b\":", "{}\n[1]", "{}\n\"text\"", "{}\n{\"a\":\"\xff\"}"}) {
    const std::string message = ExpectError(ExitCode::kBadInput, [&] { Lines(Write(folder, broken)); });
    EXPECT_MENTIONS(message, "data.jsonl:2:");
    EXPECT_MENTIONS(message, kExpected);
  }
  const std::string deep = std::string(100000, '[');
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { Lines(Write(folder, deep)); }),
                  "data.jsonl:1: JSON is nested");
}

TEST(Jsonl, LongBrokenLinesMakeShortMessages) {
  const TemporaryFolder folder;
  const std::string line = "{\"text\": \"" + std::string(1000000, 'x');
  EXPECT_LT(ExpectError(ExitCode::kBadInput, [&] { Lines(Write(folder, line)); }).size(), 1000u);
}

TEST(Jsonl, RefusesLinesOverTheLimit) {
  const TemporaryFolder folder;
  const std::filesystem::path path = Write(folder, "{}\n{\"a\": \"" + std::string(90, 'x') + "\"}\n");
  EXPECT_EQ(Lines(path, 99).size(), 2u);
  const std::string message = ExpectError(ExitCode::kBadInput, [&] { Lines(path, 98); });
  EXPECT_MENTIONS(message, "data.jsonl:2: the line has 99 bytes");
  EXPECT_MENTIONS(message, "98");
}

TEST(Jsonl, StringsAreDemandedByName) {
  const Json object = {{"text", "abc"}, {"n", 1}};
  EXPECT_EQ(JsonLineString(object, "text", "f", 7, kExpected), "abc");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { JsonLineString(object, "n", "f", 7, kExpected); }),
                  "f:7: \"n\" has type number and must be a string");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { JsonLineString(object, "x", "f", 7, kExpected); }),
                  "f:7: no \"x\"");
}

}  // namespace
}  // namespace sputnik
