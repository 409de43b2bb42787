#include "tensor/batch.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(Batch, CountsTokensAndSequences) {
  Batch batch;
  batch.ids = {5, 6, 7, 8};
  batch.positions = {0, 1, 2, 0};
  batch.sequence_start = {0, 3, 4};
  EXPECT_EQ(batch.tokens(), 4);
  EXPECT_EQ(batch.sequences(), 2);
}

TEST(Batch, ABatchOfNothingHasNoSequences) {
  Batch batch;
  EXPECT_EQ(batch.tokens(), 0);
  EXPECT_EQ(batch.sequences(), 0);
  batch.sequence_start = {0};
  EXPECT_EQ(batch.sequences(), 0);
}

}  // namespace
}  // namespace sputnik
