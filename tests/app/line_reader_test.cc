#include "app/line_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "base/jsonl.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

class LineReaderTest : public testing::Test {
 protected:
  std::string Write(std::string_view text) {
    std::ofstream(path_, std::ios::binary) << text;
    return path_;
  }
  std::vector<std::string> Lines(std::string_view text) {
    LineReader reader(Write(text));
    std::vector<std::string> lines;
    std::string line;
    while (reader.Next(&line) == LineReader::Result::kLine) lines.push_back(line);
    EXPECT_EQ(reader.line(), static_cast<int64_t>(lines.size()));
    return lines;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "file";
};

using List = std::vector<std::string>;

TEST_F(LineReaderTest, GivesLinesWithoutTheirEnd) {
  EXPECT_EQ(Lines("one\ntwo\n"), (List{"one", "two"}));
  EXPECT_EQ(Lines("one\n\n\ntwo"), (List{"one", "", "", "two"}));
  EXPECT_EQ(Lines("\n"), (List{""}));
  EXPECT_EQ(Lines(""), List{});
  EXPECT_EQ(Lines("a\r\n"), (List{"a\r"})) << "what is in a line is not its business";
  EXPECT_EQ(Lines(std::string_view("a\0b\n", 4)), (List{std::string("a\0b", 3)}));
}

TEST_F(LineReaderTest, LinesLongerThanOneRead) {
  const std::string long_line(300'000, 'x');
  EXPECT_EQ(Lines(long_line + "\nshort\n" + long_line), (List{long_line, "short", long_line}));
}

TEST_F(LineReaderTest, NamesThePlace) {
  LineReader reader(Write("a\nb\n"));
  std::string line;
  reader.Next(&line);
  reader.Next(&line);
  EXPECT_EQ(reader.source(), path_ + ":2");
  EXPECT_EQ(LineReader("-").name(), "standard input");
  EXPECT_EQ(LineReader("").name(), "standard input");
}

TEST_F(LineReaderTest, WhatCannotBeReadIsBadInput) {
  const std::string gone = folder_ / "gone";
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { LineReader reader(gone); }), gone + ": cannot open");
  LineReader of_folder(folder_.path().string());
  std::string line;
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { of_folder.Next(&line); }), "cannot read");
}

TEST_F(LineReaderTest, AHugeLineIsRefusedWithItsNumber) {
  Write("short\n");
  std::filesystem::resize_file(path_, kMaxLineBytes + 100'000);
  LineReader reader(path_);
  std::string line;
  reader.Next(&line);
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { reader.Next(&line); }), path_ + ":2: the line has more than");
}

TEST_F(LineReaderTest, ReadsAWholeFile) {
  EXPECT_EQ(ReadAllOf(Write("one\n\ntwo")), "one\n\ntwo");
  EXPECT_EQ(ReadAllOf(Write("")), "");
}

}  // namespace
}  // namespace sputnik
