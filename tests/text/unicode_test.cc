#include "text/unicode.h"

#include <gtest/gtest.h>

#include <set>

namespace sputnik {
namespace {

TEST(Unicode, EveryCodePointSurvivesEncodingAndDecoding) {
  for (int32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Char decoded = DecodeUtf8(text);
    ASSERT_EQ(decoded.code_point, c);
    ASSERT_EQ(static_cast<size_t>(decoded.length), text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Char part = DecodeUtf8(text.substr(0, cut));
      ASSERT_EQ(part.code_point, kUnfinishedUtf8) << c;
      ASSERT_EQ(static_cast<size_t>(part.length), cut);
      ASSERT_EQ(CompleteUtf8Prefix("ab" + text.substr(0, cut)), 2u);
    }
  }
}

TEST(Unicode, RejectsWhatIsNoCharacter) {
  // Continuation alone, overlong forms, a surrogate, beyond U+10FFFF, bytes that never occur.
  for (const std::string bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80",
                                "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xFE"}) {
    EXPECT_EQ(DecodeUtf8(bad).code_point, kInvalidUtf8) << bad;
    EXPECT_EQ(DecodeUtf8(bad).length, 1);
    EXPECT_FALSE(IsValidUtf8("abcdefghijkl" + bad));
    EXPECT_EQ(ValidUtf8Prefix("abcdefghijkl" + bad), 12u);
    EXPECT_EQ(CompleteUtf8Prefix("a" + bad), 1 + bad.size()) << "can never be finished, so it is";
  }
  EXPECT_EQ(DecodeUtf8("\xE6\x97x").length, 2) << "the start of a character, then something else";
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("sieben acht neun zehn größer 日本"));
}

TEST(Unicode, ReplacesEachBrokenCharacterOnce) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE6\x97z"), "a\uFFFDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x92"), "\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\x80\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE0\x80\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("größe"), "größe");
}

TEST(Unicode, ByteLevelIsOneToOne) {
  std::set<int32_t> seen;
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t c = ByteLevelChar(static_cast<uint8_t>(byte));
    EXPECT_TRUE(seen.insert(c).second);
    EXPECT_EQ(ByteLevelByte(c), byte);
  }
  EXPECT_EQ(BytesToByteLevel(" a\n\x7F\xAD"), "ĠaĊġŃ");
  EXPECT_EQ(ByteLevelByte(' '), -1);
  EXPECT_EQ(ByteLevelByte(0x144), -1);
  EXPECT_EQ(ByteLevelByte(-1), -1);
  std::string bytes;
  EXPECT_TRUE(ByteLevelToBytes("ĠaĊ", &bytes));
  EXPECT_EQ(bytes, " a\n");
  EXPECT_FALSE(ByteLevelToBytes("a b", &bytes));
  EXPECT_FALSE(ByteLevelToBytes("<｜User｜>", &bytes));
}

TEST(Unicode, TheLastCharacterIsFound) {
  EXPECT_EQ(LastUtf8Char("a\u3042").code_point, 0x3042);
  EXPECT_EQ(LastUtf8Char("a\u3042").length, 3);
  EXPECT_EQ(LastUtf8Char("\U0001F600").length, 4);
  EXPECT_EQ(LastUtf8Char("b").code_point, 'b');
  EXPECT_EQ(LastUtf8Char("\xE3\x81").code_point, kInvalidUtf8);
  EXPECT_EQ(LastUtf8Char("a\x80").length, 1);
}

}  // namespace
}  // namespace sputnik
