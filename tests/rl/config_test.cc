#include "rl/config.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(RlConfig, DefaultsAreWithinTheirOwnRanges) {
  RlConfig config;
  Fields fields;
  config.ListFields(fields);
  for (const Field& field : fields.list()) {
    EXPECT_NO_THROW(CheckField(field, "defaults")) << field.name;
    EXPECT_FALSE(field.help.empty()) << field.name;
  }
}

TEST(RlConfig, AnUnknownAdvantageIsRefusedWithTheChoices) {
  RlConfig config;
  std::vector<Section> sections(1);
  sections[0].name = "improve";
  config.ListFields(sections[0].fields);
  const std::string message =
      ExpectError(ExitCode::kUsage, [&] { ApplyOverride("improve.advantage=median", sections); });
  EXPECT_NE(message.find("mean"), std::string::npos) << message;
  EXPECT_NE(message.find("median"), std::string::npos) << message;
}

}  // namespace
}  // namespace sputnik
