#include "app/local_machine.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"
#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(LocalMachine, IsWhatTheFlagsAskFor) {
  GlobalFlags flags;
  flags.threads = 3;
  flags.machine = "reference";
  LocalMachine machine(flags);
  EXPECT_EQ(machine.pool().size(), 3);
  EXPECT_EQ(&machine.machine().kernels, &KernelsFor("reference"));
  EXPECT_EQ(&machine.machine().pool, &machine.pool());
}

TEST(LocalMachine, NoNumberOfThreadsMeansAllProcessors) {
  LocalMachine machine(GlobalFlags{});
  EXPECT_EQ(machine.pool().size(), ThreadPool::AvailableProcessors());
  EXPECT_EQ(&machine.machine().kernels, &KernelsFor("cpu"));
}

TEST(LocalMachine, AMachineThatIsNotThereIsRefused) {
  GlobalFlags flags;
  flags.machine = "abacus";
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { LocalMachine machine(flags); }), "abacus");
}

}  // namespace
}  // namespace sputnik
