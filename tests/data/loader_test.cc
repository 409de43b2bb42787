#include "data/loader.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

const std::string kHash(64, 'a');

// A shard whose i-th token is i, with documents that start at the given places.
Shard MakeShard(const TemporaryFolder& folder, int32_t tokens, std::vector<int32_t> starts = {0}) {
  ShardWriter writer(folder / "s.bin", 10000, kHash);
  starts.push_back(tokens);
  for (size_t d = 0; d + 1 < starts.size(); ++d) {
    std::vector<int32_t> ids;
    for (int32_t i = starts[d]; i < starts[d + 1]; ++i) ids.push_back(i);
    writer.AddDocument(ids, "");
  }
  writer.Finish();
  return Shard::Open(folder / "s.bin", kHash);
}

bool Equal(const Batch& a, const Batch& b) {
  return a.ids == b.ids && a.targets == b.targets && a.weights == b.weights && a.positions == b.positions &&
         a.sequence_start == b.sequence_start;
}

TEST(PretrainLoader, WindowsFollowTheStream) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 101, {0, 3, 50});
  const PretrainLoader loader(shard, {.context = 10, .batch_tokens = 30, .seed = 1});
  EXPECT_EQ(loader.windows_per_epoch(), 10);
  const Batch batch = loader.Get(0);
  EXPECT_EQ(batch.sequence_start, (std::vector<int32_t>{0, 10, 20, 30}));
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(batch.ids[i], batch.ids[i / 10 * 10] + static_cast<int32_t>(i % 10));
    EXPECT_EQ(batch.ids[i] % 10, static_cast<int32_t>(i % 10));
    EXPECT_EQ(batch.targets[i], batch.ids[i] + 1);
    EXPECT_EQ(batch.positions[i], static_cast<int32_t>(i % 10));
    EXPECT_EQ(batch.weights[i], 1.0f);
  }
}

TEST(PretrainLoader, EachEpochVisitsEveryWindowOnceInItsOwnOrder) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 1001);
  const PretrainLoader loader(shard, {.context = 10, .batch_tokens = 70, .seed = 3});
  std::vector<std::vector<int32_t>> epochs(3);
  for (int64_t step = 0; step * 7 < 300; ++step) {
    const Batch batch = loader.Get(step);
    for (size_t w = 0; w < 7; ++w) {
      const size_t index = static_cast<size_t>(step) * 7 + w;  // batches span the ends of epochs: 7 does not divide 100
      if (index < 300) epochs[index / 100].push_back(batch.ids[w * 10]);
    }
  }
  for (const auto& epoch : epochs) {
    EXPECT_EQ(std::set<int32_t>(epoch.begin(), epoch.end()).size(), 100u);
    EXPECT_FALSE(std::is_sorted(epoch.begin(), epoch.end()));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_DOUBLE_EQ(loader.EpochOf(0), 0.0);
  EXPECT_DOUBLE_EQ(loader.EpochOf(100), 7.0);
  EXPECT_DOUBLE_EQ(loader.EpochOf(1), 0.07);
}

TEST(PretrainLoader, BatchesArePureFunctionsOfSeedAndStep) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 1001, {0, 5, 77, 400});
  const LoaderOptions options{.context = 16, .batch_tokens = 64, .seed = 5, .document_mask = true, .shift = true};
  const PretrainLoader a(shard, options), b(shard, options);
  LoaderOptions other = options;
  other.seed = 6;
  const PretrainLoader c(shard, other);
  const Batch later = a.Get(20);
  for (int64_t step = 30; step >= 0; --step) EXPECT_TRUE(Equal(a.Get(step), b.Get(step)));
  EXPECT_TRUE(Equal(later, a.Get(20)));
  EXPECT_FALSE(Equal(a.Get(0), a.Get(1)));
  EXPECT_FALSE(Equal(a.Get(0), c.Get(0)));
}

TEST(PretrainLoader, TheOrderIsFixedForever) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 1001);
  const PretrainLoader loader(shard, {.context = 10, .batch_tokens = 10, .seed = 1});
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < 4; ++i) starts.push_back(loader.WindowStart(i));
  EXPECT_EQ(starts, (std::vector<int64_t>{50, 320, 350, 70}));
}

TEST(PretrainLoader, ShiftMovesTheCutsOfEachEpoch) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 1000);
  const PretrainLoader loader(shard, {.context = 10, .batch_tokens = 10, .seed = 1, .shift = true});
  EXPECT_EQ(loader.windows_per_epoch(), 99);
  std::set<int64_t> offsets;
  for (int64_t epoch = 0; epoch < 40; ++epoch) {
    std::set<int64_t> starts;
    for (int64_t i = 0; i < 99; ++i) starts.insert(loader.WindowStart(epoch * 99 + i));
    EXPECT_EQ(starts.size(), 99u);
    EXPECT_LE(*starts.rbegin() + 11, 1000);
    for (const int64_t start : starts) EXPECT_EQ(start % 10, *starts.begin() % 10);
    offsets.insert(*starts.begin() % 10);
  }
  EXPECT_GT(offsets.size(), 6u);
}

TEST(PretrainLoader, DocumentMaskSplitsWindowsAtDocuments) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 11, {0, 3, 4, 10});
  const PretrainLoader loader(shard, {.context = 10, .batch_tokens = 10, .seed = 1, .document_mask = true});
  const Batch batch = loader.Get(0);
  EXPECT_EQ(batch.sequence_start, (std::vector<int32_t>{0, 3, 4, 10}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 0, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST(PretrainLoader, UsesTheLastTokenAsATargetOnly) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 11);
  const PretrainLoader loader(shard, {.context = 5, .batch_tokens = 10, .seed = 1});
  EXPECT_EQ(loader.windows_per_epoch(), 2);
  const Batch batch = loader.Get(0);
  EXPECT_EQ(*std::max_element(batch.targets.begin(), batch.targets.end()), 10);
}

TEST(PretrainLoader, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 100);
  const auto make = [&](LoaderOptions options) { PretrainLoader loader(shard, options); };
  const std::string shortage = ExpectError(ExitCode::kBadInput, [&] { make({.context = 100, .batch_tokens = 100}); });
  EXPECT_MENTIONS(shortage, "s.bin: 100 tokens are too few for one window of 101");
  EXPECT_MENTIONS(shortage, "shorter context");
  make({.context = 99, .batch_tokens = 99});
  ExpectError(ExitCode::kBadInput, [&] { make({.context = 60, .batch_tokens = 60, .shift = true}); });
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { make({.context = 10, .batch_tokens = 25}); }), "take 20 or 30");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { make({.context = 10, .batch_tokens = 5}); }), "take 10 or 20");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { make({.context = 0, .batch_tokens = 10}); }), "must be positive");
  ExpectError(ExitCode::kUsage, [&] { make({.context = 10, .batch_tokens = 0}); });
}

TEST(ReadRange, PredictsEveryTokenOfTheShardButTheFirstOnce) {
  const TemporaryFolder folder;
  const Shard shard = MakeShard(folder, 47, {0, 13, 14, 40});
  for (const bool mask : {false, true}) {
    std::multiset<int32_t> predicted;
    float total = 0;
    for (int64_t begin = 0; begin < 47; begin += 20) {
      const Batch batch = ReadRange(shard, begin, std::min<int64_t>(begin + 20, 47), 10, mask);
      EXPECT_EQ(batch.sequence_start.back(), batch.tokens());
      for (size_t i = 0; i < batch.ids.size(); ++i) {
        if (batch.targets[i] >= 0) predicted.insert(batch.targets[i]);
        EXPECT_EQ(batch.weights[i], batch.targets[i] >= 0 ? 1.0f : 0.0f);
        total += batch.weights[i];
      }
      for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
        EXPECT_LE(batch.sequence_start[s + 1] - batch.sequence_start[s], 10);
        EXPECT_EQ(batch.positions[static_cast<size_t>(batch.sequence_start[s])], 0);
      }
    }
    EXPECT_EQ(total, 46.0f);
    EXPECT_EQ(predicted.size(), 46u);
    EXPECT_EQ(std::set<int32_t>(predicted.begin(), predicted.end()).size(), 46u);
    EXPECT_EQ(predicted.count(0), 0u);
  }
}

TEST(SampleLoader, EpochsVisitEachSampleOnce) {
  const SampleLoader loader(25, 9);
  std::vector<int64_t> first, second;
  for (int64_t step = 0; step < 5; ++step) {
    for (const int64_t i : loader.Get(step, 5)) first.push_back(i);
    for (const int64_t i : loader.Get(step + 5, 5)) second.push_back(i);
  }
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 25u);
  EXPECT_EQ(std::set<int64_t>(second.begin(), second.end()).size(), 25u);
  EXPECT_NE(first, second);
  EXPECT_EQ(loader.Get(3, 5), SampleLoader(25, 9).Get(3, 5));
  EXPECT_NE(loader.Get(3, 5), SampleLoader(25, 10).Get(3, 5));
  EXPECT_EQ(SampleLoader(1, 1).Get(7, 3), (std::vector<int64_t>{0, 0, 0}));
  ExpectError(ExitCode::kUsage, [] { SampleLoader none(0, 1); });
}

}  // namespace
}  // namespace sputnik
