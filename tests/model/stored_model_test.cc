#include "model/stored_model.h"

#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// What a folder may do wrong is tested with LoadModel, in checkpoint_test.

TEST(StoredModelTest, AFolderIsDescribedByItsHeaders) {
  const StoredModel stored(GoldenFolder() / "model/v2_groups_bf16_sharded");
  EXPECT_EQ(stored.files().size(), 3u);
  EXPECT_EQ(stored.TypeNames(), "BF16");
  const Json index = ReadJsonFile(stored.folder() / "model.safetensors.index.json");
  EXPECT_EQ(stored.bytes(), index["metadata"]["total_size"].get<int64_t>());
  EXPECT_EQ(stored.tensors().size(), index["weight_map"].size());
  EXPECT_EQ(stored.tensors().size(), ListParams(stored.config()).size());
  EXPECT_EQ(stored.ScalesOf("lm_head.weight"), nullptr);
}

TEST(StoredModelTest, MatricesAreUsedInPlaceAndVectorsAreNot) {
  const StoredModel stored(GoldenFolder() / "model/v3_groups");
  const auto in_place = stored.InPlace();
  for (const ParamSpec& spec : ListParams(stored.config())) {
    EXPECT_EQ(in_place.contains(spec.name), spec.shape.size() == 2) << spec.name;
  }
}

TEST(StoredModelTest, TablesOfFrequenciesAreNoWeights) {
  const TemporaryFolder folder;
  fs::copy(GoldenFolder() / "model/v3_groups", folder.path(), fs::copy_options::recursive);
  const SafetensorsFile file(GoldenFolder() / "model/v3_groups/model.safetensors");
  std::vector<TensorToStore> tensors;
  for (const auto& [name, tensor] : file.tensors()) tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
  const std::vector<float> table(4);
  tensors.push_back(
      {"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {4}, std::as_bytes(std::span(table))});
  WriteSafetensors(folder / "model.safetensors", tensors);
  EXPECT_EQ(StoredModel(folder.path()).tensors().size(), file.tensors().size() + 1);
}

}  // namespace
}  // namespace sputnik
