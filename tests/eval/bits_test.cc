#include "eval/bits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernel/backend.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

const std::string kHash(64, 'a');

class BitsTest : public testing::Test {
 protected:
  BitsTest() : decoder_(TinyConfig(), DType::kF32, false) { decoder_.params().Initialise(decoder_.config(), 1); }

  // Documents of the given lengths; every token stands for two characters of three bytes.
  Shard MakeShard(const std::vector<int>& lengths) {
    Random random(4, kStreamTest);
    ShardWriter writer(folder_ / "s.shard", 37, kHash);
    for (const int length : lengths) {
      std::vector<int32_t> ids;
      std::string text;
      for (int i = 0; i < length; ++i) {
        ids.push_back(static_cast<int32_t>(random.Below(37)));
        text += "a\xc3\xa4";
      }
      writer.AddDocument(ids, text);
    }
    writer.Finish();
    return Shard::Open(folder_ / "s.shard", kHash);
  }
  BitsResult Evaluate(const Shard& shard, const BitsOptions& options) {
    return EvaluateShard(decoder_, machine_, shard, options);
  }
  // -log p of shard token `at`, given the tokens from `begin` on: one forward of one window.
  double Nats(const Shard& shard, int64_t begin, int64_t at) {
    Arena arena;
    Pass pass(machine_, arena);
    Batch batch;
    for (int64_t i = begin; i < at; ++i) {
      batch.ids.push_back(shard.token(i));
      batch.positions.push_back(static_cast<int32_t>(i - begin));
      batch.targets.push_back(i + 1 == at ? shard.token(at) : -1);
    }
    batch.sequence_start = {0, static_cast<int32_t>(at - begin)};
    const Tensor hidden = decoder_.Forward(pass, batch).hidden;
    return -static_cast<double>(decoder_.TargetLogProbs(pass, hidden, batch.targets).logprob.as<float>()[0]);
  }

  TemporaryFolder folder_;
  ThreadPool pool_{1};
  Machine machine_{KernelsFor("cpu"), pool_};
  Decoder decoder_;
};

TEST_F(BitsTest, WindowsSideBySideScoreEveryTokenOnce) {
  const Shard shard = MakeShard({40, 13, 50});
  const BitsResult result = Evaluate(shard, {.context = 16});
  double expected = 0;
  for (int64_t at = 1; at < 103; ++at) expected += Nats(shard, (at - 1) / 16 * 16, at);
  EXPECT_EQ(result.tokens, 102);
  EXPECT_NEAR(result.nats, expected, 1e-9 * expected);
  EXPECT_EQ(result.text_share, 1);
}

TEST_F(BitsTest, DocumentsCanBeKeptApart) {
  const Shard shard = MakeShard({40, 13, 50});
  const BitsResult result = Evaluate(shard, {.context = 16, .document_mask = true});
  double expected = 0;
  for (int64_t at = 1; at < 103; ++at) {
    const int64_t document = at - 1 < 40 ? 0 : at - 1 < 53 ? 40 : 53;
    expected += Nats(shard, document + (at - 1 - document) / 16 * 16, at);
  }
  EXPECT_EQ(result.tokens, 102);
  EXPECT_NEAR(result.nats, expected, 1e-9 * expected);
}

TEST_F(BitsTest, OverlappingWindowsSeeAtLeastContextLessStride) {
  const Shard shard = MakeShard({90});
  const BitsResult result = Evaluate(shard, {.context = 24, .stride = 10});
  double expected = 0;
  for (int64_t at = 1; at < 90; ++at) {
    const int64_t end = std::min<int64_t>((at - 1) / 10 * 10 + 11, 90);  // of the window that scores it
    expected += Nats(shard, std::max<int64_t>(0, end - 1 - 24), at);
  }
  EXPECT_EQ(result.tokens, 89);
  EXPECT_NEAR(result.nats, expected, 1e-9 * expected);
}

TEST_F(BitsTest, ABeginningCanBeScoredAlone) {
  const Shard shard = MakeShard({100});
  const BitsResult part = Evaluate(shard, {.context = 16, .max_tokens = 50});
  EXPECT_EQ(part.text_share, 0.5);
  EXPECT_NEAR(static_cast<double>(part.tokens), 50, 1);
  double expected = 0;
  for (int64_t at = 1; at <= part.tokens; ++at) expected += Nats(shard, (at - 1) / 16 * 16, at);
  EXPECT_NEAR(part.nats, expected, 1e-9 * expected);
  EXPECT_EQ(Evaluate(shard, {.context = 16, .max_tokens = 1000}).tokens, 99);
}

// Each scored token counts with its document, or where there are few of them with its stretch of the text.
TEST_F(BitsTest, IntervalsAreOverDocumentsOrStretches) {
  const auto expect = [&](const Shard& shard, const BitsOptions& options,
                          const std::function<size_t(int64_t)>& cluster) {
    const BitsResult result = Evaluate(shard, options);
    std::vector<Cluster> clusters;
    for (int64_t at = 1; at <= result.tokens; ++at) {
      clusters.resize(std::max(clusters.size(), cluster(at) + 1));
      const int64_t end = std::min<int64_t>((at - 1) / 10 * 10 + 11, shard.tokens());
      const int64_t begin = options.stride > 0 ? std::max<int64_t>(0, end - 1 - 16) : (at - 1) / 16 * 16;
      clusters[cluster(at)].sum += Nats(shard, begin, at);
      clusters[cluster(at)].count += 1;
    }
    const std::optional<Interval> expected = RatioConfidence95(clusters);
    ASSERT_TRUE(expected && result.ci95);
    EXPECT_NEAR(result.ci95->low, expected->low, 1e-6);
    EXPECT_NEAR(result.ci95->high, expected->high, 1e-6);
    EXPECT_LT(result.ci95->low, result.NatsPerToken());
    const Interval bits = *result.IntervalOf(result.BitsPerByte(shard));
    EXPECT_NEAR(bits.high / result.BitsPerByte(shard), result.ci95->high / result.NatsPerToken(), 1e-9);
  };
  std::vector<int> lengths;
  std::vector<size_t> document;
  for (size_t d = 0; d < 35; ++d) {
    lengths.push_back(1 + static_cast<int>(d * 7 % 11));
    document.insert(document.end(), static_cast<size_t>(lengths.back()), d);
  }
  const Shard many = MakeShard(lengths);
  // The first document has one token, which nothing predicts.
  const auto by_document = [&](int64_t at) { return document[static_cast<size_t>(at)] - 1; };
  expect(many, {.context = 16}, by_document);
  expect(many, {.context = 16, .stride = 10}, by_document);
  EXPECT_TRUE(Evaluate(many, {.context = 16}).by_document);
  const Shard few = MakeShard({60, 70});
  const auto by_stretch = [](int64_t at) { return static_cast<size_t>((at - 1) / 16); };
  expect(few, {.context = 16}, by_stretch);
  expect(few, {.context = 16, .stride = 10}, by_stretch);
  EXPECT_FALSE(Evaluate(few, {.context = 16}).by_document);
  EXPECT_FALSE(Evaluate(few, {.context = 16, .max_tokens = 60}).ci95) << "four stretches";
}

// More than one batch of windows: the seams between batches are no seams of the text.
TEST_F(BitsTest, LongTextsGoInSeveralBatches) {
  const Shard shard = MakeShard({9000});
  const BitsResult result = Evaluate(shard, {.context = 100});
  EXPECT_EQ(result.tokens, 8999);
  const BitsResult strided = Evaluate(shard, {.context = 100, .stride = 99});
  EXPECT_EQ(strided.tokens, 8999);
  double sample = 0, expected = 0;
  for (const int64_t at : {8100, 8101, 8192, 8193, 8999}) expected += Nats(shard, (at - 1) / 100 * 100, at);
  for (const int64_t at : {8100, 8101, 8192, 8193, 8999}) {
    sample += Evaluate(shard, {.context = 100, .max_tokens = at}).nats -
              Evaluate(shard, {.context = 100, .max_tokens = at - 1}).nats;
  }
  EXPECT_NEAR(sample, expected, 1e-6 * expected);
}

// A model without an opinion: every token costs log2 of the vocabulary.
TEST_F(BitsTest, AUniformModelPaysTheVocabulary) {
  for (Param& param : decoder_.params().list()) {
    if (param.spec.role != ParamRole::kHead) continue;
    for (float& x : param.tensor.span<float>()) x = 0;
  }
  const Shard shard = MakeShard({60, 40});
  const BitsResult result = Evaluate(shard, {.context = 32});
  EXPECT_NEAR(result.NatsPerToken(), std::log(37.0), 1e-6);
  EXPECT_NEAR(result.BitsPerByte(shard), std::log2(37.0) * 99 / 300, 1e-5);
  EXPECT_NEAR(result.NatsPerCharacter(shard), std::log(37.0) * 99 / 200, 1e-5);
  // Half of the text stands for half of the bytes.
  EXPECT_NEAR(Evaluate(shard, {.context = 32, .max_tokens = 50}).BitsPerByte(shard), std::log2(37.0) * 50 / 150, 1e-5);
}

}  // namespace
}  // namespace sputnik
