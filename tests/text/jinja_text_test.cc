#include "text/jinja_text.h"

#include <gtest/gtest.h>

namespace sputnik::jinja {
namespace {

Text Marked(std::string_view own, std::string_view said) {
  Text text(own);
  text.Append(said, kSaid);
  return text;
}

std::string MarksOf(const Text& text) {
  std::string marks;
  for (size_t i = 0; i < text.size(); ++i) marks += text.MarkAt(i) == 0 ? '.' : 's';
  return marks;
}

std::string Joined(const std::vector<Text>& parts) {
  std::string joined;
  for (const Text& part : parts) joined += "[" + part.bytes + "]";
  return joined;
}

TEST(JinjaText, MarksGoWithTheirBytes) {
  Text text = Marked("ab", "cd");
  EXPECT_EQ(MarksOf(text), "..ss");
  text.Append("e");
  EXPECT_EQ(MarksOf(text), "..ss.");
  EXPECT_EQ(MarksOf(text.Part(1, 3)), ".s");
  Text later("x");
  later.Append(text);
  EXPECT_EQ(MarksOf(later), "...ss.");
}

TEST(JinjaText, MarksGoThroughEveryMethod) {
  EXPECT_EQ(MarksOf(Strip(Marked(" a", "b "), std::nullopt, true, true)), ".s");
  EXPECT_EQ(MarksOf(Split(Marked("a,", "b"), ",", -1)[1]), "s");
  EXPECT_EQ(MarksOf(Replace(Marked("a-", "b-c"), "-", Text("++"), -1)), "...s..s");
  EXPECT_EQ(MarksOf(Replace(Text("a-b"), "-", Marked("", "s"), -1)), ".s.");
  EXPECT_EQ(MarksOf(Upper(Marked("a", "ß"))), ".ss");
  EXPECT_EQ(MarksOf(Title(Marked("é", "é"))), "..ss");
  EXPECT_EQ(MarksOf(Escape(Marked("<", "<"))), "....ssss");
}

TEST(JinjaText, CountsCharactersNotBytes) {
  const Characters characters("aé灯👩\xFF!");
  EXPECT_EQ(characters.count(), 6);
  EXPECT_EQ(characters.Start(3), 6u);
  EXPECT_EQ(characters.IndexOf(10), 4);
  EXPECT_EQ(Characters("").count(), 0);
}

TEST(JinjaText, StripsUnicodeSpaceAndGivenCharacters) {
  EXPECT_EQ(Strip(Text("\u3000 x\u00a0\x1c"), std::nullopt, true, true).bytes, "x");
  EXPECT_EQ(Strip(Text("éxé"), "é", false, true).bytes, "éx");
  EXPECT_EQ(Strip(Text("\x80\x80"), std::nullopt, true, true).bytes, "\x80\x80");
}

TEST(JinjaText, SplitsAsPythonDoes) {
  EXPECT_EQ(Joined(Split(Text(" a  b c "), std::nullopt, 1)), "[a][b c ]");
  EXPECT_EQ(Joined(SplitFromRight(Text(" a  b c "), std::nullopt, 1)), "[ a  b][c]");
  EXPECT_EQ(Joined(SplitFromRight(Text("a,b,c"), ",", 1)), "[a,b][c]");
  EXPECT_EQ(Joined(Split(Text(""), ",", -1)), "[]");
  EXPECT_EQ(Joined(SplitLines(Text("a\r\n\nb\rc\u2028"), false)), "[a][][b][c]");
  EXPECT_EQ(Joined(SplitLines(Text("a\r\nb"), true)), "[a\r\n][b]");
}

TEST(JinjaText, FoldsCaseInFull) {
  EXPECT_EQ(Lower(Text("ΟΔΟΣ ΑΣ. Σ")).bytes, "οδος ας. σ");
  EXPECT_EQ(Upper(Text("straße ŉ")).bytes, "STRASSE ʼN");
  EXPECT_EQ(Capitalize(Text("ǆABC")).bytes, "ǅabc");
  EXPECT_EQ(Title(Text("they're o'neil")).bytes, "They'Re O'Neil");
  EXPECT_EQ(TitleFilter(Text("they're (o'neil-x)")).bytes, "They're (O'neil-X)");
  EXPECT_EQ(Upper(Text("a\xFFz")).bytes, "A\xFFZ");
}

TEST(JinjaText, KnowsTheSizeBeforeItReplaces) {
  for (const char* old : {"", "a", "ab"}) {
    for (const int64_t most : {-1, 0, 2}) {
      EXPECT_EQ(SizeAfterReplace(Text("aéabab"), old, Text("xyz"), most),
                Replace(Text("aéabab"), old, Text("xyz"), most).size());
    }
  }
}

TEST(JinjaText, TellsKindsOfText) {
  EXPECT_EQ(Is("isdigit", "12²"), true);
  EXPECT_EQ(Is("isdecimal", "²"), false);
  EXPECT_EQ(Is("isalpha", ""), false);
  EXPECT_EQ(Is("istitle", "Abc Def"), true);
  EXPECT_EQ(Is("nothing", "x"), std::nullopt);
}

}  // namespace
}  // namespace sputnik::jinja
