#include "text/json_view.h"

#include <gtest/gtest.h>

#include <functional>

namespace sputnik {
namespace {

const std::string kSource = "dir/file.json";
const Json kObject = {{"text", "x"}, {"yes", true}, {"five", 5}, {"mark", "▁"}, {"list", {1}}, {"none", nullptr}};

std::string ErrorOf(const std::function<void(const JsonView&)>& use) {
  try {
    use(JsonView(kObject, "place", kSource));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    return error.what();
  }
  return "accepted";
}

TEST(JsonView, GivesWhatIsThere) {
  const JsonView view(kObject, "place", kSource);
  EXPECT_EQ(view.String("text"), "x");
  EXPECT_TRUE(view.Bool("yes", false));
  EXPECT_TRUE(view.Bool("none", true) && view.Bool("missing", true));
  EXPECT_EQ(view.Whole("five", 0, 5), 5);
  EXPECT_EQ(view.Character("mark"), "▁");
  EXPECT_EQ(view.Array("list").size(), 1u);
  EXPECT_TRUE(view.Get("missing").is_null());
  const Json pattern = {{"pattern", {{"Regex", "a+"}}}};
  EXPECT_EQ(JsonView(pattern, "p", kSource).Pattern("pattern"), std::make_pair(std::string("a+"), false));
}

TEST(JsonView, ErrorsNameFilePlaceAndKey) {
  EXPECT_EQ(ErrorOf([](const auto& v) { v.String("yes"); }), "dir/file.json: place.yes is missing or not a string");
  EXPECT_EQ(ErrorOf([](const auto& v) { v.Bool("five", false); }), "dir/file.json: place.five is not true or false");
  EXPECT_EQ(ErrorOf([](const auto& v) { v.Whole("five", 6, 9); }),
            "dir/file.json: place.five = 5 is not a whole number from 6 to 9");
  EXPECT_NE(ErrorOf([](const auto& v) { v.Whole("text", 0, 9); }), "accepted");
  EXPECT_EQ(ErrorOf([](const auto& v) { v.Array("text"); }), "dir/file.json: place.text is missing or not an array");
  EXPECT_EQ(ErrorOf([](const auto& v) { v.Refuse("five", nullptr, 4); }),
            "dir/file.json: place.five = 5 is not supported");
  EXPECT_EQ(ErrorOf([](const auto& v) { v.Refuse("five", 5); }), "accepted");
  EXPECT_EQ(ErrorOf([](const auto& v) {
              v.KnowsOnly({"text", "yes", "five", "mark", "none"});
            }),
            "dir/file.json: place.list = [1] is not supported");
  const Json two = {{"mark", "ab"}, {"pattern", {{"Glob", "*"}}}};
  EXPECT_THROW(JsonView(two, "p", kSource).Character("mark"), Error);
  EXPECT_THROW(JsonView(two, "p", kSource).Pattern("pattern"), Error);
  EXPECT_THROW(JsonView(Json::array(), "p", kSource), Error);
}

}  // namespace
}  // namespace sputnik
