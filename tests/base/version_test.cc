#include "base/version.h"

#include <gtest/gtest.h>

#include <cctype>

namespace sputnik {
namespace {

TEST(Version, StartsWithANumberAndFitsIntoOneWord) {
  const std::string_view version = Version();
  const size_t first = version.starts_with('v') ? 1 : 0;
  ASSERT_GT(version.size(), first);
  EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(version[first]))) << version;
  EXPECT_EQ(version.find_first_of(" \t\n\"\\"), version.npos) << version;
}

}  // namespace
}  // namespace sputnik
