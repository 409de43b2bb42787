#include "app/version.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/version.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

TEST(VersionVerb, SaysWhichProgramThisIs) {
  const auto versions = BuildVersions();
  EXPECT_EQ(versions.front().first, "sputnik");
  EXPECT_EQ(versions.front().second, Version());
  const std::string text = OutputOf({"version"});
  const Json json = Json::parse(OutputOf({"version", "--json"}));
  EXPECT_EQ(json.size(), versions.size());
  for (const auto& [what, version] : versions) {
    EXPECT_FALSE(version.empty()) << what;
    EXPECT_TRUE(json.contains(what)) << what;
    EXPECT_NE(text.find(json[what].get<std::string>()), std::string::npos) << what;
  }
  EXPECT_EQ(OutputOf({"--version"}), "sputnik " + json["sputnik"].get<std::string>() + "\n");
}

TEST(VersionVerb, ArgumentsAreNotForIt) {
  EXPECT_NE(MessageOf(2, {"version", "please"}).find("unexpected argument \"please\""), std::string::npos);
}

}  // namespace
}  // namespace sputnik
