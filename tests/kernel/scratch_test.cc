#include "kernel/cpu/scratch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <utility>

namespace sputnik::cpu {
namespace {

TEST(Scratch, IsAlignedAndWritableToItsEnd) {
  ScratchBuffer scratch;
  for (const int64_t count : {1, 3, 16, 17, 1000, 100'000}) {
    float* memory = scratch.Get(count);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0u) << count;
    std::fill_n(memory, count, 2.f);  // a sanitizer sees what goes past the end
    EXPECT_EQ(memory[count - 1], 2.f);
  }
}

TEST(Scratch, IsReusedForWhatFits) {
  ScratchBuffer scratch;
  float* memory = scratch.Get(1000);
  std::fill_n(memory, 1000, 3.f);
  for (const int64_t count : {1000, 1, 999, 0}) EXPECT_EQ(scratch.Get(count), memory) << count;
  EXPECT_EQ(memory[999], 3.f) << "not cleared";
  std::fill_n(scratch.Get(5000), 5000, 4.f);
  EXPECT_EQ(scratch.Get(1000), scratch.Get(5000)) << "it does not shrink";
}

TEST(Scratch, EachBufferHasItsOwn) {
  ScratchBuffer a, b;
  *a.Get(1) = 1;
  *b.Get(1) = 2;
  EXPECT_EQ(*a.Get(1), 1);
  ScratchBuffer moved = std::move(a);
  EXPECT_EQ(*moved.Get(1), 1);
}

// What an allocation that failed leaves behind must not pass for memory.
TEST(Scratch, CanBeUsedAfterMemoryRanOut) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which end the program instead
  ScratchBuffer scratch;
  scratch.Get(10);
  EXPECT_THROW(scratch.Get(int64_t{1} << 59), std::bad_alloc);
  float* memory = scratch.Get(10);
  ASSERT_NE(memory, nullptr);
  std::fill_n(memory, 10, 1.f);
#endif
}

}  // namespace
}  // namespace sputnik::cpu
