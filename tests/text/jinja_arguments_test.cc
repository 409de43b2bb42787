#include "text/jinja_arguments.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sputnik::jinja {
namespace {

TEST(JinjaArguments, GoToTheirParameters) {
  const Arguments arguments{{Int(1)}, {{"c", Bool(true)}}};
  const Bound bound("f", arguments, {"a", "b", "c"}, 1);
  EXPECT_EQ(bound.Whole(0, 7), 1);
  EXPECT_EQ(bound.Whole(1, 7), 7);
  EXPECT_TRUE(bound.IsNone(1));
  EXPECT_TRUE(bound.Flag(2, false));
}

TEST(JinjaArguments, WrongOnesAreNamed) {
  const auto error = [](const Arguments& arguments) -> std::string {
    try {
      const Bound bound("f", arguments, {"a", "b"}, 1);
      bound.String(0);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(error({{Int(1), Int(2), Int(3)}, {}}), "f takes at most 2 arguments, not 3");
  EXPECT_EQ(error({{}, {{"q", Int(1)}}}), "f has no argument q");
  EXPECT_EQ(error({{Int(1)}, {{"a", Int(1)}}}), "f is given a twice");
  EXPECT_EQ(error({{}, {{"b", Int(1)}}}), "f needs the argument a");
  EXPECT_EQ(error({{Int(1)}, {}}), "f: a must be a str");
}

}  // namespace
}  // namespace sputnik::jinja
