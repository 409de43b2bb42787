#include "text/code_point.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(CodePoint, KindsAreThoseOfTheLibrary) {
  EXPECT_TRUE(IsWhiteSpace(' ') && IsWhiteSpace(0x85) && IsWhiteSpace(0x3000));
  EXPECT_FALSE(IsWhiteSpace(0x180E) || IsWhiteSpace(0x200B) || IsWhiteSpace('a'));
  EXPECT_TRUE(IsWord('_') && IsWord('7') && IsWord(0x301) && IsWord(0x200D) && IsWord(0x10D50) && IsWord(0x1FBF0));
  EXPECT_FALSE(IsWord('-') || IsWord(0xB2) || IsWord(0x1CC00) || IsWord(0x1D2C0));
  EXPECT_TRUE(IsNumber('0') && IsNumber(0xBD) && IsNumber(0x2167) && IsNumber(0x10D40) && IsNumber(0x11DE0));
  EXPECT_FALSE(IsNumber('a') || IsNumber(0x11DEA));
  EXPECT_TRUE(IsPunctuation('$') && IsPunctuation('~') && IsPunctuation(0x3002) && IsPunctuation(0x166D));
  EXPECT_FALSE(IsPunctuation('a') || IsPunctuation(' ') || IsPunctuation(0x7F) || IsPunctuation(0x20AC));
  EXPECT_FALSE(IsPunctuation(0x2E43) || IsPunctuation(0x1B4E)) << "younger than the library's table";
}

TEST(CodePoint, LowerCaseIsByCharacter) {
  const auto lower = [](int32_t code_point) {
    std::string text;
    AppendLowerCase(code_point, &text);
    return text;
  };
  EXPECT_EQ(lower('A'), "a");
  EXPECT_EQ(lower('a'), "a");
  EXPECT_EQ(lower(0x3A3), "σ");
  EXPECT_EQ(lower(0x130), "i\u0307");
  EXPECT_EQ(lower(0x1C89), "\u1C8A");
  EXPECT_EQ(lower(0xA7CB), "\u0264");
  EXPECT_EQ(lower(0x10D65), "\U00010D85");
  EXPECT_EQ(lower(0x16EB8), "\U00016ED3");
}

TEST(CodePoint, WhiteSpaceAroundAPlace) {
  const std::string text = "a \u3000b\n";
  EXPECT_EQ(WhiteSpaceStart(text, 5), 1u);
  EXPECT_EQ(WhiteSpaceStart(text, 1), 1u);
  EXPECT_EQ(WhiteSpaceStart(" ", 1), 0u);
  EXPECT_EQ(WhiteSpaceEnd(text, 1), 5u);
  EXPECT_EQ(WhiteSpaceEnd(text, 6), text.size());
  EXPECT_EQ(WhiteSpaceEnd("\xFF", 0), 0u);
  EXPECT_EQ(WhiteSpaceStart("\xA0", 1), 0u + 1);
}

TEST(CodePoint, YoungerCharactersAreListedByCategory) {
  EXPECT_NE(YoungerThanPcre("L").find(R"(\x{10D50}-\x{10D65})"), std::string::npos);
  EXPECT_NE(YoungerThanPcre("Lu").find(R"(\x{10D50}-\x{10D65})"), std::string::npos);
  EXPECT_EQ(YoungerThanPcre("Ll").find(R"(\x{10D50}-\x{10D65})"), std::string::npos);
  EXPECT_NE(YoungerThanPcre("Han").find(R"(\x{31350})"), std::string::npos);
  EXPECT_EQ(YoungerThanPcre("Zs"), "");
}

}  // namespace
}  // namespace sputnik
