#include "data/text_split.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// Each part as "TEXT|": training in small letters, held out in brackets.
std::string Parts(const fs::path& path, double fraction) {
  std::string shown;
  ForEachPart({path}, {.source = {.percent_separated = true}, .held_out_fraction = fraction},
              [&](const TextPart& part) {
                const std::string text(part.text);
                shown += (part.held_out ? "[" + text + "]" : text) + (part.ends ? "|" : "+");
              });
  return shown;
}

fs::path Write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(TextSplit, HoldsOutTheLastDocumentsOrTheEndOfALongOne) {
  const TemporaryFolder folder;
  const fs::path many = Write(folder / "many.txt", "abcd\n%\nefgh\n%\nijkl\n%\nmnop\n%\nqrst\n%\n");
  EXPECT_EQ(Parts(many, 0), "abcd|efgh|ijkl|mnop|qrst|");
  EXPECT_EQ(Parts(many, 0.2), "abcd|efgh|ijkl|mnop|[qrst]|");
  EXPECT_EQ(Parts(many, 0.4), "abcd|efgh|ijkl|[mnop]|[qrst]|");
  const fs::path one = Write(folder / "one.txt", "0123456789");
  EXPECT_EQ(Parts(one, 0.3), "0123456+[789]|");
  const fs::path accents = Write(folder / "accents.txt", "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9");
  EXPECT_EQ(Parts(accents, 0.35), "\xC3\xA9\xC3\xA9\xC3\xA9+[\xC3\xA9]|") << "never within a character";
}

TEST(TextSplit, RefusesWhatCannotBeDivided) {
  const TemporaryFolder folder;
  const fs::path tiny = Write(folder / "tiny.txt", "x");
  for (const double fraction : {0.1, 0.9}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { Parts(tiny, fraction); }), "too little text");
  }
  for (const double fraction : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { Parts(tiny, fraction); }), "[0, 1)");
  }
}

}  // namespace
}  // namespace sputnik
