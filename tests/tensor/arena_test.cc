#include "tensor/arena.h"

#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(Arena, GivesAlignedSeparateMemory) {
  Arena arena(1 << 20);
  std::byte* last_end = nullptr;
  for (const int64_t bytes : {1, 63, 64, 65, 1000, 0, 4096}) {
    auto* place = static_cast<std::byte*>(arena.Allocate(bytes));
    ASSERT_NE(place, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0u);
    EXPECT_GE(place, last_end);
    std::memset(place, 0xab, static_cast<size_t>(bytes));
    last_end = place + bytes;
  }
  EXPECT_EQ(arena.used(), 64 + 64 + 64 + 128 + 1024 + 0 + 4096);
}

TEST(Arena, ReleaseGivesTheSamePlaceAgain) {
  Arena arena(1 << 20);
  arena.New<float>(10);
  const int64_t mark = arena.Mark();
  auto* first = arena.New<double>(100);
  arena.New<double>(100);
  arena.Release(mark);
  EXPECT_EQ(arena.used(), mark);
  EXPECT_EQ(arena.New<double>(1), first);
  EXPECT_EQ(arena.high_water(), 64 + 832 + 832) << "the high water stays";
}

TEST(Arena, ScopeReleasesInside) {
  Arena arena(1 << 20);
  arena.Allocate(64);
  {
    const ArenaScope scope(arena);
    arena.Allocate(1000);
    EXPECT_EQ(arena.used(), 64 + 1024);
  }
  EXPECT_EQ(arena.used(), 64);
}

TEST(Arena, GoingOverTheLimitIsAnErrorThatNamesIt) {
  Arena arena(3 << 20);
  arena.Allocate(1 << 20);
  const std::string message = ExpectError(ExitCode::kFailure, [&] { arena.Allocate((2 << 20) + 1); });
  EXPECT_MENTIONS(message, "1 MiB in use, 2 MiB more needed, limit 3 MiB");
  arena.Allocate(2 << 20);  // to the last byte; the failed one took nothing
  EXPECT_EQ(arena.used(), 3 << 20);
  arena.Allocate(0);
  ExpectError(ExitCode::kFailure, [&] { arena.Allocate(1); });
}

TEST(Arena, ALimitThatIsNotAMultipleOfTheAlignmentHolds) {
  Arena arena(100);
  arena.Allocate(64);
  ExpectError(ExitCode::kFailure, [&] { arena.Allocate(36); });
}

TEST(Arena, SizesThatOverflowAreOutOfMemory) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  Arena arena(1 << 20);
  ExpectError(ExitCode::kFailure, [&] { arena.Allocate(kMax); });
  ExpectError(ExitCode::kFailure, [&] { arena.Allocate(kMax - 63); });
  ExpectError(ExitCode::kFailure, [&] { arena.New<double>(kMax / 4); });
  ExpectError(ExitCode::kFailure, [&] { arena.New<double>((int64_t{1} << 61) + 1); });  // wraps to 8 bytes
  EXPECT_EQ(arena.used(), 0);
}

// Address space is reserved, memory is not taken until it is touched.
TEST(Arena, TheDefaultLimitCostsNothing) {
  Arena arena;
  auto* place = arena.New<int>(1);
  *place = 5;
  EXPECT_EQ(*place, 5);
}

TEST(ArenaDeathTest, MisuseIsABug) {
  Arena arena(1 << 20);
  EXPECT_DEATH(arena.Allocate(-1), "CHECK failed");
  EXPECT_DEATH(arena.New<float>(-1), "CHECK failed");
  EXPECT_DEATH(arena.Release(64), "CHECK failed");
  EXPECT_DEATH(arena.Release(-64), "CHECK failed");
}

}  // namespace
}  // namespace sputnik
