// Sha256 is declared in base/file.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/file.h"

namespace sputnik {
namespace {

std::string HashOf(const std::string& text) { return Sha256(std::as_bytes(std::span(text))); }

// Known answers of FIPS 180-4.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(HashOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HashOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HashOf(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheDigestOfTheWhole) {
  const std::string text(100'003, 'x');
  for (const size_t piece : {size_t{1}, size_t{63}, size_t{64}, size_t{5000}, text.size()}) {
    Sha256Stream stream;
    for (size_t i = 0; i < text.size(); i += piece) {
      stream.Update(std::as_bytes(std::span(text)).subspan(i, std::min(piece, text.size() - i)));
    }
    EXPECT_EQ(stream.Finish(), HashOf(text)) << piece;
  }
  EXPECT_EQ(Sha256Stream().Finish(), HashOf(""));
}

}  // namespace
}  // namespace sputnik
