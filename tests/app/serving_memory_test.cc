#include "app/serving_memory.h"

#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/model_folders.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(ServingMemoryTest, BytesAreReadable) {
  EXPECT_EQ(ReadableBytes(999), "999 B");
  EXPECT_EQ(ReadableBytes(1'234'567), "1.23 MB");
  EXPECT_EQ(ReadableBytes(45'600'000'000), "45.6 GB");
  EXPECT_EQ(ReadableBytes(999'700), "1.00 MB");
  EXPECT_EQ(ReadableBytes(671'000'000'000), "671 GB");
}

TEST(ServingMemoryTest, TheCacheIsThatOfItsFormAndContext) {
  const ModelConfig config = TinyConfig();  // 2 layers
  const WeightMemory weights{.mapped = 1000, .owned = 10};
  const auto cache = [&](AttentionForm form, int64_t context) {
    const ServingMemory memory = EstimateServingMemory(config, weights, form, context);
    EXPECT_EQ(memory.mapped, 1000);
    EXPECT_EQ(memory.owned, 10);
    EXPECT_EQ(memory.total(), 1010 + memory.cache + memory.work + memory.program);
    return memory.cache;
  };
  EXPECT_EQ(cache(AttentionForm::kAbsorbed, 32), 32 * 2 * (16 + 6) * 4);
  EXPECT_EQ(cache(AttentionForm::kExpanded, 33), 48 * 2 * 3 * (16 + 9) * 4);
  EXPECT_EQ(cache(AttentionForm::kExpanded, 1'000'000), cache(AttentionForm::kExpanded, 128)) << "the longest there is";
}

TEST(ServingMemoryTest, OfAnEmbeddingOnlyRowsCount) {
  const WeightMemory weights{.mapped = 1 << 30, .owned = 0, .embedding = 1 << 29};
  const auto mapped = [&](int64_t context) {
    return EstimateServingMemory(TinyConfig(), weights, AttentionForm::kExpanded, context).mapped;
  };
  EXPECT_EQ(mapped(16), (1 << 29) + (16 << 16));
  EXPECT_EQ(mapped(64) - mapped(32), 32 << 16);
  const WeightMemory small{.mapped = 1000, .owned = 0, .embedding = 100};
  EXPECT_EQ(EstimateServingMemory(TinyConfig(), small, AttentionForm::kExpanded, 16).mapped, 1000) << "at most all";
}

class ServingMemoryCheck : public testing::Test {
 protected:
  // A model of 13 MB with a cache that counts.
  ServingMemoryCheck() {
    ModelConfig config = TinyConfig();
    config.num_nextn_predict_layers = 0;
    config.vocab_size = 60'000;
    config.max_position_embeddings = 1 << 16;
    config.num_attention_heads = 32;
    Decoder decoder(config, DType::kF32, false);
    SaveModel(folder_.path(), decoder);
  }
  std::string Refusal(AttentionForm form, int64_t context, int64_t available) {
    const StoredModel stored(folder_.path());
    const std::string message =
        ExpectError(ExitCode::kUsage, [&] { CheckServingMemory(stored, form, context, available); });
    EXPECT_MENTIONS(message, folder_.path().string());
    EXPECT_MENTIONS(message, ReadableBytes(available) + " are free");
    return message;
  }
  int64_t Need(AttentionForm form, int64_t context) {
    const StoredModel stored(folder_.path());
    return EstimateServingMemory(stored.config(), MemoryToLoad(stored, false), form, context).total();
  }

  TemporaryFolder folder_;
};

TEST_F(ServingMemoryCheck, WhatFitsIsNotRefused) {
  const StoredModel stored(folder_.path());
  CheckServingMemory(stored, AttentionForm::kExpanded, 1000, Need(AttentionForm::kExpanded, 1000));
  Refusal(AttentionForm::kExpanded, 1000, Need(AttentionForm::kExpanded, 1000) - 1);
}

TEST_F(ServingMemoryCheck, ARefusalNamesWhatWouldFit) {
  const auto expanded = AttentionForm::kExpanded, absorbed = AttentionForm::kAbsorbed;
  EXPECT_MENTIONS(Refusal(expanded, 65'536, Need(absorbed, 65'536)), "--attention absorbed would fit");
  EXPECT_MENTIONS(Refusal(absorbed, 65'536, Need(absorbed, 4096)), "--max-tokens 4096 would fit");
  EXPECT_MENTIONS(Refusal(absorbed, 65'536, Need(absorbed, 255) - 4'000'000), "--dtype bf16 makes one that fits");
  EXPECT_MENTIONS(Refusal(absorbed, 65'536, 1000), "choose a smaller model");
}

}  // namespace
}  // namespace sputnik
