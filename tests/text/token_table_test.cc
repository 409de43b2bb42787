#include "text/token_table.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(TokenTable, StringsComeBackByNumber) {
  TokenTable table;
  EXPECT_EQ(table.size(), 0);
  for (const char* text : {"one", "", "three"}) table.Add(text);
  EXPECT_EQ(table.size(), 3);
  EXPECT_EQ(table[0], "one");
  EXPECT_EQ(table[1], "");
  EXPECT_EQ(table[2], "three");
}

}  // namespace
}  // namespace sputnik
