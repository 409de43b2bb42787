#include "text/jinja_display.h"

#include <gtest/gtest.h>

#include "tests/support/render_template.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaDisplay, JsonThereAndBack) {
  Heap heap(100000, 1 << 20);
  const std::string json = R"({"z": [1, -2.5, 1e+16, true, null], "a": {"é": "q\"\\\n\u001b/"}, "": []})";
  JsonStyle style;
  style.item_separator = Text(", ");
  style.key_separator = Text(": ");
  EXPECT_EQ(ToJson(heap, ReadJson(heap, json, "test", 0), style).bytes, json);
}

TEST(JinjaDisplay, ThePartsOfJsonKeepTheirMarks) {
  EXPECT_EQ(Marks(RenderText("{{ d | tojson }}", R"({"d": {"k": "v"}})")), "ttsttttstt");
  EXPECT_EQ(Marks(RenderText("{{ d }}", R"({"d": ["a\n", 1]})")),
            "ttssstttt"
            "t");
}

TEST(JinjaDisplay, BrokenJsonIsRefusedByName) {
  Heap heap(100000, 1 << 20);
  const auto error = [&](const std::string& json) -> std::string {
    try {
      ReadJson(heap, json, "tools", 0);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(error("[1, 18446744073709551616]"), "tools: a whole number beyond 64 bits");
  EXPECT_EQ(error("[9223372036854775808]"), "tools: a whole number beyond 64 bits");
  EXPECT_TRUE(error("[1,]").starts_with("tools: not valid JSON: "));
  EXPECT_TRUE(error(std::string(200, '[')).starts_with("tools: nested deeper than 100"));
}

TEST(JinjaDisplay, OfEqualKeysTheLaterValueCounts) {
  EXPECT_EQ(Render("{{ d | tojson }}", R"({"d": {"a": 1, "b": 2, "a": 3}})"), R"({"a": 3, "b": 2})");
}

}  // namespace
}  // namespace sputnik::jinja
