#include "text/jinja_compare.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/jinja_display.h"

namespace sputnik::jinja {
namespace {

class JinjaCompare : public testing::Test {
 protected:
  Value Json(std::string_view json) { return ReadJson(heap_, json, "test", 0); }
  Heap heap_{100000, 1 << 20};
};

TEST_F(JinjaCompare, EqualIsByMeaning) {
  EXPECT_TRUE(Equal(Json("[1, {\"a\": true, \"b\": null}]"), Json("[1.0, {\"b\": null, \"a\": 1}]")));
  EXPECT_FALSE(Equal(Json("\"1\""), Json("1")));
  EXPECT_FALSE(Equal(heap_.MakeList({}), heap_.MakeTuple({})));
  EXPECT_TRUE(Equal(heap_.Make(Text("a", kSaid)), heap_.Make("a")));
  EXPECT_TRUE(Equal(Undefined(), Undefined()));
  EXPECT_FALSE(Equal(Undefined(), None()));
}

TEST_F(JinjaCompare, OrderIsThatOfNumbersTextsAndLists) {
  EXPECT_TRUE(Less(Json("1"), Json("1.5")));
  EXPECT_TRUE(Less(Json("\"z\""), Json("\"é\"")));
  EXPECT_TRUE(Less(Json("[1, 2]"), Json("[1, 3]")));
  EXPECT_TRUE(Less(Json("[1]"), Json("[1, 0]")));
  EXPECT_THROW(Less(Json("1"), Json("\"1\"")), Error);
  EXPECT_THROW(Less(Undefined(), Json("1")), Error);
}

TEST_F(JinjaCompare, EmptyIsFalse) {
  for (const char* json : {"null", "false", "0", "0.0", "\"\"", "[]", "{}"}) EXPECT_FALSE(Truth(Json(json))) << json;
  for (const char* json : {"true", "-1", "0.1", "\" \"", "[0]", "{\"a\": 0}"}) EXPECT_TRUE(Truth(Json(json))) << json;
}

TEST_F(JinjaCompare, DeepValuesAreRefusedNotFollowed) {
  Value deep = heap_.MakeList({});
  for (int i = 0; i < 5000; ++i) deep = heap_.MakeList({deep});
  EXPECT_THROW(Equal(deep, heap_.MakeList({deep})), Error);
  EXPECT_THROW(Repr(heap_, deep), Error);
}

TEST_F(JinjaCompare, InLooksIntoTextsListsAndKeys) {
  EXPECT_TRUE(Contains(heap_, Json("\"abc\""), Json("\"bc\"")));
  EXPECT_TRUE(Contains(heap_, Json("[1, 2]"), Json("2.0")));
  EXPECT_TRUE(Contains(heap_, Json("{\"a\": 1}"), Json("\"a\"")));
  EXPECT_FALSE(Contains(heap_, Json("{\"a\": 1}"), Json("1")));
  EXPECT_THROW(Contains(heap_, Json("\"abc\""), Json("1")), Error);
}

}  // namespace
}  // namespace sputnik::jinja
