#include "op/tape.h"

#include <gtest/gtest.h>

#include <vector>

namespace sputnik {
namespace {

TEST(TapeTest, RunsClosuresLastFirstAndOnce) {
  Arena arena(1 << 20);
  Tape tape(arena);
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) tape.Record([&order, i] { order.push_back(i); });
  tape.Backward();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], 99 - i);
  tape.Backward();
  EXPECT_EQ(order.size(), 100u);
}

TEST(TapeTest, RecordsAgainAfterABackward) {
  Arena arena(1 << 20);
  Tape tape(arena);
  int sum = 0;
  tape.Record([&sum] { sum += 1; });
  tape.Backward();
  tape.Record([&sum] { sum += 10; });
  tape.Backward();
  EXPECT_EQ(sum, 11);
}

// Closures live in the arena, side by side with what they hold, and a closure may record on another tape.
TEST(TapeTest, KeepsWhatIsCapturedByValue) {
  Arena arena(1 << 20);
  Tape tape(arena);
  struct Large {
    int numbers[50];
  };
  Large large{};
  large.numbers[49] = 7;
  int seen = 0;
  tape.Record([large, &seen, &arena] {
    Tape inner(arena);
    inner.Record([large, &seen] { seen = large.numbers[49]; });
    inner.Backward();
  });
  large.numbers[49] = 0;
  tape.Backward();
  EXPECT_EQ(seen, 7);
}

}  // namespace
}  // namespace sputnik
