#include "model/shard_writer.h"

#include <fmt/core.h>

#include <algorithm>

#include "model/shard_index.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class ShardWriterTest : public testing::Test {
 protected:
  // Tensors of so many float32 numbers each; tensor i holds i, i + 1, …
  void Write(const std::vector<int64_t>& sizes, int64_t most_bytes) {
    std::vector<TensorToStore> tensors;
    for (size_t i = 0; i < sizes.size(); ++i) tensors.push_back({fmt::format("t{}", i), DType::kF32, {sizes[i]}, {}});
    WriteShards(
        folder_.path(), tensors, most_bytes,
        [&](size_t i, const DataSink& sink) {
          for (int64_t k = 0; k < sizes[i]; ++k) {  // number by number
            const float value = static_cast<float>(static_cast<int64_t>(i) + k);
            sink(std::as_bytes(std::span(&value, 1)));
          }
        },
        [&](int64_t done, int64_t total) { progress_.emplace_back(done, total); });
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryFolder folder_;
  std::vector<std::pair<int64_t, int64_t>> progress_;
};

TEST_F(ShardWriterTest, WhatFitsIsOneFile) {
  Write({3, 4}, 28);
  EXPECT_EQ(Files(), (std::vector<std::string>{"model.safetensors"}));
  const SafetensorsFile file(folder_ / "model.safetensors");
  EXPECT_EQ(StoredValues<float>(file, "t1"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(progress_.back(), std::pair(int64_t{28}, int64_t{28}));
}

TEST_F(ShardWriterTest, FilesAreFilledInOrderAndIndexed) {
  WriteFileAtomically(folder_ / "model.safetensors", "of before");
  Write({3, 4, 1, 20, 2, 2}, 32);
  EXPECT_EQ(Files(), (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                               "model-00003-of-00003.safetensors", kShardIndexName}));
  const ShardIndex index = ParseShardIndex(ReadFile(folder_ / kShardIndexName), "index");
  EXPECT_EQ(index.total_size, 32u * 4);
  for (const auto& [name, file] : index.file_of) {
    const std::string number = name == "t3" ? "00002" : name < "t3" ? "00001" : "00003";
    EXPECT_EQ(index.files[file], "model-" + number + "-of-00003.safetensors") << name;
    EXPECT_TRUE(SafetensorsFile(folder_ / index.files[file]).tensors().contains(name));
  }
  EXPECT_EQ(index.file_of.size(), 6u);
}

TEST_F(ShardWriterTest, ATensorMayBeLargerThanAFile) {
  Write({5}, 1);
  EXPECT_EQ(Files(), (std::vector<std::string>{"model.safetensors"}));
  Write({5, 5}, 1);
  EXPECT_EQ(Files().size(), 3u);
}

}  // namespace
}  // namespace sputnik
