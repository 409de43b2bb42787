#include "app/doctor.h"

#include <gtest/gtest.h>

#include "app/self_test.h"
#include "base/json.h"
#include "kernel/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

TEST(Doctor, DescribesThisMachine) {
  const Json found = Json::parse(OutputOf({"doctor", "--json", "--threads", "2"}));
  for (const char* section : {"versions", "system", "processor", "threads", "measured", "memory", "disk"}) {
    EXPECT_TRUE(found.contains(section)) << section;
  }
  EXPECT_FALSE(found.contains("self_test")) << "only when asked for";
  EXPECT_EQ(found["processor"]["simd_target"], SimdTarget());
  EXPECT_FALSE(found["processor"]["model"].get<std::string>().empty());
  EXPECT_EQ(found["threads"]["used"], 2);
  EXPECT_FALSE(found["threads"]["affinity"].get<std::string>().empty());
  for (const auto& [what, number] : found["measured"].items()) EXPECT_GT(number.get<double>(), 0) << what;
  EXPECT_GT(found["memory"]["total_mib"].get<double>(), found["memory"]["available_mib"].get<double>());
  EXPECT_GT(found["memory"]["available_mib"].get<double>(), 0);
}

TEST(Doctor, TheSelfTestSaysWhetherTheBitsAreRight) {
  const Outcome outcome = RunProgram({"doctor", "--self-test"});
  const std::string target = SimdTarget();
  const bool same_bits = target == "AVX3" || target == "AVX2" || target == "NEON";
  EXPECT_EQ(outcome.code, same_bits ? 0 : 5) << outcome.err;
  EXPECT_MENTIONS(outcome.out, std::string(kSelfTestGolden));
  EXPECT_MENTIONS(outcome.out, same_bits ? "passed" : "failed");
  // Made to be pasted: words and numbers, no colour.
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
  EXPECT_MENTIONS(outcome.out, "simd target                " + target);
}

}  // namespace
}  // namespace sputnik
