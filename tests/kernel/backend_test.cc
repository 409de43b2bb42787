#include "kernel/backend.h"

#include "base/error.h"
#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

TEST(Backend, HasBothMachines) {
  EXPECT_STREQ(KernelsFor("reference").name, "reference");
  EXPECT_STREQ(KernelsFor("cpu").name, "cpu");
  EXPECT_NE(KernelsFor("cpu").attention, KernelsFor("reference").attention);
}

TEST(Backend, UnknownMachineIsAUsageError) {
  try {
    KernelsFor("abacus");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("abacus"), std::string::npos);
  }
}

TEST(Backend, SwitchesTargets) {
  const std::vector<std::string> targets = SimdTargets();
  ASSERT_FALSE(targets.empty());
  const std::string best = SimdTarget();
  EXPECT_EQ(best, targets.front());
  for (const std::string& target : targets) {
    UseSimdTarget(target);
    EXPECT_EQ(SimdTarget(), target);
    EXPECT_EQ(SimdTargets(), targets) << "a restriction must not change what the processor has";
  }
  std::string lower = targets.back();
  for (char& c : lower) c = static_cast<char>(std::tolower(c));
  UseSimdTarget(lower);
  EXPECT_EQ(SimdTarget(), targets.back());
  EXPECT_THROW(UseSimdTarget("AVX9"), Error);
  EXPECT_EQ(SimdTarget(), targets.back()) << "a refused target changes nothing";
  UseSimdTarget("");
  EXPECT_EQ(SimdTarget(), best);
}

}  // namespace
}  // namespace sputnik::testing
