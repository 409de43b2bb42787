#include "model/kv_cache.h"

#include <algorithm>

#include "tests/support/cached_forward.h"
#include "tests/support/config_file.h"
#include "tests/support/machines.h"
#include "tests/support/published.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

TEST(KvCacheTest, BytesOfPublishedModels) {
  const ModelConfig v3 = ConfigFromJson(kV3Json);
  EXPECT_EQ(KvCache::BytesPerPage(v3, AttentionForm::kAbsorbed, DType::kBF16), 70272 * kKeyBlock);
  // 128 heads of 192 + 128 numbers: 71 times as much.
  EXPECT_EQ(KvCache::BytesPerPage(v3, AttentionForm::kExpanded, DType::kBF16), 61 * 128 * 320 * 2 * kKeyBlock);
  EXPECT_EQ(KvCache::BytesPerPage(v3, AttentionForm::kAbsorbed, DType::kF32), kKeyBlock * v3.CacheBytesPerToken(4));
}

// Keys and values of the key heads, in whichever form; a fourth of what Llama's 32 heads would take.
TEST(KvCacheTest, GroupedAttentionHasOneForm) {
  const ModelConfig llama = ConfigFromJson(kLlama32Json);
  for (const AttentionForm form : {AttentionForm::kExpanded, AttentionForm::kAbsorbed}) {
    EXPECT_EQ(KvCache::BytesPerPage(llama, form, DType::kBF16), 16 * 8 * (64 + 64) * 2 * kKeyBlock);
    EXPECT_EQ(KvCache(TinyFamily("qwen3"), form, DType::kF32, 1).form(), AttentionForm::kExpanded);
    EXPECT_EQ(KvCache(TinyFamily("qwen3"), form, DType::kF32, 1).layer(1).size(1), 2 * (10 + 10));
  }
  EXPECT_EQ(llama.CacheBytesPerToken(2) * kKeyBlock,
            KvCache::BytesPerPage(llama, AttentionForm::kExpanded, DType::kBF16));
}

TEST(KvCacheTest, OneTensorPerLayer) {
  const ModelConfig config = TinyConfig();
  for (const AttentionForm form : {AttentionForm::kExpanded, AttentionForm::kAbsorbed}) {
    const KvCache cache(config, form, DType::kF32, 5);
    EXPECT_EQ(cache.form(), form);
    EXPECT_EQ(cache.pages(), 5);
    int64_t bytes = 0;
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      const Tensor& t = cache.layer(layer);
      EXPECT_EQ(t.size(0), 5 * kKeyBlock);
      EXPECT_EQ(t.size(1), form == AttentionForm::kAbsorbed ? 16 + 6 : 3 * (16 + 9));
      bytes += t.elements() * 4;
    }
    EXPECT_EQ(bytes, 5 * KvCache::BytesPerPage(config, form, DType::kF32));
    EXPECT_NE(cache.layer(0).data(), cache.layer(1).data());
  }
}

TEST(KvCacheTest, CopyPageCopiesOnePageOfEveryLayer) {
  KvCache cache(TinyConfig(), AttentionForm::kAbsorbed, DType::kF32, 4);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto values = cache.layer(layer).span<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + 0.5f * static_cast<float>(layer);
  }
  cache.CopyPage(3, 1);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto values = cache.layer(layer).span<float>();
    const size_t page = values.size() / 4;
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t from = i / page == 1 ? i + 2 * page : i;
      ASSERT_EQ(values[i], static_cast<float>(from) + 0.5f * static_cast<float>(layer));
    }
  }
}

// A group of samples shares its prompt: a copied page answers like the original.
TEST(KvCacheTest, CopiedPagesGiveTheSameBits) {
  const ModelConfig config = TinyConfig();
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, 1);
  ThreadPool pool(1);
  const Machine machine{KernelsFor("reference"), pool};
  Arena arena(1 << 26);
  const Batch batch = RandomBatch(config, {25}, 2);
  const std::vector<double> full = FullForward<float>(decoder, machine, arena, batch);
  for (const AttentionForm form : {AttentionForm::kExpanded, AttentionForm::kAbsorbed}) {
    CachedForward plain(decoder, machine, form, batch), forked(decoder, machine, form, batch);
    const std::vector<double> expected = plain.Run<float>(arena, 10);
    forked.Step<float>(arena, {10});
    std::vector<int32_t>& pages = forked.pages()[0];
    int32_t spare = 0;
    while (std::find(pages.begin(), pages.end(), spare) != pages.end()) ++spare;
    forked.cache().CopyPage(pages[0], spare);
    const auto old = forked.cache().layer(0).Slice(0, pages[0] * kKeyBlock, kKeyBlock).span<float>();
    std::fill(old.begin(), old.end(), 1e6f);
    pages[0] = spare;
    EXPECT_EQ(forked.Run<float>(arena, 10), expected);
    if (form == AttentionForm::kExpanded) {
      EXPECT_EQ(expected, full);
    }
  }
}

}  // namespace
}  // namespace sputnik
