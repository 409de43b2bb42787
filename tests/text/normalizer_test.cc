#include "text/normalizer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sputnik {
namespace {

using Kind = NormalizerStep::Kind;

std::string After(std::vector<NormalizerStep> steps, std::string_view text) {
  const Normalizer normalizer(std::move(steps), "test");
  RegexWorkspace workspace;
  std::string buffer;
  return std::string(normalizer.Normalize(text, workspace, &buffer));
}

TEST(Normalizer, FormsAreUnicodes) {
  const std::string text = "e\u0301 \u00E9 \uFB01 \uAC00";
  EXPECT_EQ(After({{.kind = Kind::kNfc}}, text), "\u00E9 \u00E9 \uFB01 \uAC00");
  EXPECT_EQ(After({{.kind = Kind::kNfd}}, text), "e\u0301 e\u0301 \uFB01 \u1100\u1161");
  EXPECT_EQ(After({{.kind = Kind::kNfkc}}, text), "\u00E9 \u00E9 fi \uAC00");
  EXPECT_EQ(After({{.kind = Kind::kNfkd}}, text), "e\u0301 e\u0301 fi \u1100\u1161");
  EXPECT_EQ(After({{.kind = Kind::kNfkc}}, "\u32FF"), "\u32FF") << "younger than the library's tables";
}

TEST(Normalizer, StepsChangeWhatTheOneBeforeLeft) {
  const NormalizerStep prepend = {.kind = Kind::kPrepend, .content = "▁"};
  const NormalizerStep replace = {.kind = Kind::kReplace, .pattern = " ", .content = "▁", .literal = true};
  EXPECT_EQ(After({prepend, replace}, "a b "), "▁a▁b▁");
  EXPECT_EQ(After({prepend, replace}, ""), "");
  EXPECT_EQ(After({{.kind = Kind::kReplace, .pattern = R"(\s+)", .content = " "}}, " a \n b"), " a b");
  EXPECT_EQ(After({{.kind = Kind::kReplace, .pattern = ".", .content = "", .literal = true}}, "a.b"), "ab");
  EXPECT_EQ(After({{.kind = Kind::kLowercase}}, "ÄBC\u0130"), "äbci\u0307");
  EXPECT_EQ(After({{.kind = Kind::kStrip, .left = true}}, " \u3000a "), "a ");
  EXPECT_EQ(After({{.kind = Kind::kStrip, .right = true}}, " a\u2003 "), " a");
  EXPECT_EQ(After({{.kind = Kind::kStrip, .left = true, .right = true}, prepend}, "  "), "");
  EXPECT_EQ(After({}, "as it is"), "as it is");
}

TEST(Normalizer, BytesThatAreNoCharactersStay) {
  EXPECT_EQ(After({{.kind = Kind::kNfc}}, "e\xFF\u0301\xE6\x97"), "e\xFF\u0301\xE6\x97");
  EXPECT_EQ(After({{.kind = Kind::kNfc}},
                  "\xFF"
                  "e\u0301"),
            "\xFF\u00E9");
  EXPECT_EQ(After({{.kind = Kind::kLowercase}},
                  "A\xFF"
                  "B"),
            "a\xFF"
            "b");
}

TEST(Normalizer, RefusesTooManySteps) {
  EXPECT_THROW(Normalizer(std::vector<NormalizerStep>(17), "test"), Error);
  EXPECT_THROW(Normalizer({{.kind = Kind::kReplace}}, "test"), Error) << "an empty pattern";
}

}  // namespace
}  // namespace sputnik
