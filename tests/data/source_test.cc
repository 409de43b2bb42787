#include "data/source.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;
using Documents = std::vector<std::string>;

fs::path Write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

Documents Read(const std::vector<fs::path>& inputs, const SourceOptions& options = {}) {
  Documents documents;
  ForEachDocument(inputs, options, [&](std::string_view text) { documents.emplace_back(text); });
  return documents;
}

std::string ReadError(const std::vector<fs::path>& inputs, const SourceOptions& options = {}) {
  return ExpectError(ExitCode::kBadInput, [&] { Read(inputs, options); });
}

TEST(Source, FilesAreDocumentsVerbatim) {
  const TemporaryFolder folder;
  const fs::path a = Write(folder / "a.txt", "one\ntwo\n"), b = Write(folder / "b.odd",
                                                                      "\xEF\xBB\xBF"
                                                                      "d\xC3\xA9j\xC3\xA0");
  EXPECT_EQ(Read({b, a}), (Documents{"d\xC3\xA9j\xC3\xA0", "one\ntwo\n"}));
}

TEST(Source, JsonlHasADocumentPerLine) {
  const TemporaryFolder folder;
  const fs::path a = Write(folder / "a.jsonl", "{\"text\":\"x\\ny\"}\n\n{\"text\":\"\"}\n{\"id\":1,\"text\":\"z\"}");
  EXPECT_EQ(Read({a}), (Documents{"x\ny", "z"}));
}

TEST(Source, FoldersAreReadInSortedOrderAndWithoutForeignFiles) {
  const TemporaryFolder folder;
  Write(folder / "z.txt", "z");
  Write(folder / "b/inner.txt", "inner");
  Write(folder / "a.jsonl", "{\"text\":\"a\"}");
  Write(folder / "plain", "plain");
  Write(folder / "plain.dat", std::string("\0\1", 2));
  Write(folder / ".hidden", "hidden");
  Write(folder / ".git/config", "hidden");
  fs::create_symlink("plain", folder / "plain.u8");
  fs::create_symlink("z.txt", folder / "again.txt");
  fs::create_symlink("nowhere", folder / "dangling.txt");
  fs::create_directory_symlink(".", folder / "loop");
  const TemporaryFolder outside;
  fs::create_symlink(Write(outside / "far.txt", "far"), folder / "link.txt");
  EXPECT_EQ(Read({folder.path()}), (Documents{"a", "inner", "far", "plain", "z"}));
}

TEST(Source, PercentLinesSeparateQuotes) {
  const TemporaryFolder folder;
  const fs::path path = Write(folder / "quotes", "one\n100 % sure\n%\n%\r\n\ntwo\n\n%\n%not\n");
  EXPECT_EQ(Read({path}, {.percent_separated = true}), (Documents{"one\n100 % sure", "\ntwo", "%not"}));
  EXPECT_EQ(Read({path}).size(), 1u);
  EXPECT_EQ(Read({Write(folder / "end", "a\n%")}, {.percent_separated = true}), (Documents{"a"}));
}

TEST(Source, MissingPaths) {
  const TemporaryFolder folder;
  const std::string message = ReadError({folder / "nowhere.txt"});
  EXPECT_MENTIONS(message, "nowhere.txt: no such file or folder");
  EXPECT_MENTIONS(message, "check the path");
}

TEST(Source, FoldersWithoutText) {
  const TemporaryFolder folder;
  EXPECT_MENTIONS(ReadError({folder.path()}), folder.path().string() + ": the folder has no text");
  Write(folder / "image.png", "x");
  EXPECT_MENTIONS(ReadError({folder.path()}), ".txt or .jsonl");
}

TEST(Source, NoDocumentsAtAll) {
  const TemporaryFolder folder;
  const fs::path empty = Write(folder / "empty.txt", ""), blank = Write(folder / "blank.jsonl", "\n");
  EXPECT_MENTIONS(ReadError({empty, blank}), "empty.txt and 1 more: no text in there");
  EXPECT_MENTIONS(ReadError({}), "name at least one file or folder");
  EXPECT_EQ(Read({empty, Write(folder / "a.txt", "a")}), (Documents{"a"}));
}

TEST(Source, BinaryFiles) {
  const TemporaryFolder folder;
  for (const char* name : {"a.txt", "a.jsonl"}) {
    const std::string message = ReadError({Write(folder / name, std::string("ab\0c", 4))});
    EXPECT_MENTIONS(message, std::string(name) + ": a binary file (zero byte at offset 2)");
  }
}

TEST(Source, InvalidUtf8NamesTheOffset) {
  const TemporaryFolder folder;
  const std::string message = ReadError({Write(folder / "latin.txt", "0123456789 caf\xE9 au lait")});
  EXPECT_MENTIONS(message, "latin.txt: not UTF-8: byte 0xe9 at offset 14");
  EXPECT_MENTIONS(message, "iconv");
}

TEST(Source, BrokenJsonLines) {
  const TemporaryFolder folder;
  for (const char* line : {"{\"text\": \"b\"", "{\"txt\": \"b\"}", "{\"text\": 3}", "3"}) {
    const std::string message = ReadError({Write(folder / "a.jsonl", std::string("{\"text\":\"a\"}\n") + line)});
    EXPECT_MENTIONS(message, "a.jsonl:2: ");
    EXPECT_MENTIONS(message, R"({"text": "..."})");
  }
}

TEST(Source, HugeLines) {
  const TemporaryFolder folder;
  const SourceOptions options{.max_line_bytes = 20};
  const std::string line(21, 'x');
  EXPECT_MENTIONS(ReadError({Write(folder / "a.txt", "short\n" + line)}, options), "a.txt:2: the line has 21 bytes");
  EXPECT_MENTIONS(ReadError({Write(folder / "a.jsonl", "{\"text\":\"" + line + "\"}")}, options),
                  "a.jsonl:1: the line");
  EXPECT_EQ(Read({Write(folder / "a.txt", line.substr(1) + "\n" + line.substr(1))}, options).size(), 1u);
}

TEST(Source, Utf8Validity) {
  for (const char* good : {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(ValidUtf8Bytes(good), std::string_view(good).size()) << good;
  }
  // Bare continuation, overlong, surrogate, beyond U+10FFFF, impossible lead, cut short, broken in the middle.
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xC3(", "\xE2\x82(", "\xF0\x9F\x98("}) {
    for (const std::string before : {"", "abcdefg", "abcdefgh", "abcdefghijk\xC3\xA9"}) {
      EXPECT_EQ(ValidUtf8Bytes(before + bad), before.size());
      EXPECT_EQ(ValidUtf8Bytes(before + bad + "tail and more"), before.size());
    }
  }
}

TEST(Source, DebianFortunes) {
  const fs::path folder = "/usr/share/games/fortunes";
  if (!fs::exists(folder / "literature")) GTEST_SKIP() << "the Debian package fortunes is not installed";
  const std::vector<fs::path> files = ListTextFiles({folder});
  for (const fs::path& file : files) EXPECT_TRUE(file.extension().empty()) << file;
  const Documents quotes = Read({folder}, {.percent_separated = true});
  size_t bytes = 0;
  for (const std::string& quote : quotes) bytes += quote.size();
  EXPECT_GT(quotes.size(), 5000u);
  EXPECT_GT(bytes, 1000000u);
}

TEST(Source, Conversations) {
  const TemporaryFolder folder;
  const fs::path path =
      Write(folder / "chat.jsonl", R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
                                   R"({"role":"assistant","content":"a"}]})"
                                   "\n\n"
                                   R"({"messages":[{"role":"user","content":"1"},{"role":"assistant","content":"2"},)"
                                   R"({"role":"user","content":"3"},{"role":"assistant","content":""}],"id":5})");
  const auto conversations = ReadConversations(path);
  ASSERT_EQ(conversations.size(), 2u);
  ASSERT_EQ(conversations[0].size(), 3u);
  EXPECT_EQ(conversations[0][0].role, "system");
  EXPECT_EQ(conversations[0][2].content, "a");
  EXPECT_EQ(conversations[1].size(), 4u);
}

TEST(Source, BrokenConversations) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& line) {
    const fs::path path = Write(folder / "chat.jsonl",
                                R"({"messages":[{"role":"user","content":"1"},{"role":"assistant","content":"2"}]})"
                                "\n" +
                                    line);
    const std::string text = ExpectError(ExitCode::kBadInput, [&] { ReadConversations(path); });
    EXPECT_MENTIONS(text, "chat.jsonl:2: ");
    EXPECT_MENTIONS(text, "\"messages\"");
    return text;
  };
  const auto roles = [&](const std::vector<std::string>& list) {
    std::string line;
    for (const std::string& role : list) {
      line += fmt::format(R"({}{{"role":"{}","content":"x"}})", line.empty() ? "" : ",", role);
    }
    return message("{\"messages\":[" + line + "]}");
  };
  EXPECT_MENTIONS(roles({"assistant", "user"}), "message 1 is of assistant where user has the turn");
  EXPECT_MENTIONS(roles({"user", "user", "assistant"}), "message 2 is of user where assistant has the turn");
  EXPECT_MENTIONS(roles({"system", "assistant"}), "message 2 is of assistant where user has the turn");
  EXPECT_MENTIONS(roles({"user", "assistant", "system"}), "message 3 is a system message, which may only come first");
  EXPECT_MENTIONS(roles({"user", "tool"}), "message 2 has role \"tool\"; known are system, user and assistant");
  EXPECT_MENTIONS(roles({"user", "assistant", "user"}), "the last message is of user");
  EXPECT_MENTIONS(roles({"system"}), "the last message is of system");
  EXPECT_MENTIONS(message("{}"), "no list \"messages\"");
  EXPECT_MENTIONS(message("{\"messages\":[]}"), "no list \"messages\"");
  EXPECT_MENTIONS(message("{\"messages\":[3]}"), "message 1 is no object");
  EXPECT_MENTIONS(message("{\"messages\":[{\"role\":\"user\",\"content\":null}]}"),
                  "message 1 has no string \"content\"");
  EXPECT_MENTIONS(message("{\"messages\":[{\"content\":\"a\"}]}"), "message 1 has no string \"role\"");
  EXPECT_MENTIONS(message("{\"messages\""), "not valid JSON");

  const std::string empty =
      ExpectError(ExitCode::kBadInput, [&] { ReadConversations(Write(folder / "none.jsonl", "\n")); });
  EXPECT_MENTIONS(empty, "none.jsonl: no conversation in there");
}

}  // namespace
}  // namespace sputnik
