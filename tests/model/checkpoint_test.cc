#include "model/checkpoint.h"

#include <bit>
#include <cstring>
#include <set>

#include "tests/support/model_trial.h"
#include "tests/support/published.h"

namespace sputnik {
namespace {

TEST_F(Checkpoint, WhatIsSavedIsLoadedByteForByte) {
  Decoder decoder(TinyConfig(), DType::kF32, false);
  FillRandomly(decoder, 1);
  const Params& params = decoder.params();
  std::fill_n(params.Get("model.norm.weight").as<float>(), 3, -0.f);
  SaveModel(folder_.path(), decoder);
  const auto loaded = LoadModel(folder_.path(), true);
  EXPECT_EQ(WriteModelConfig(loaded->config()), WriteModelConfig(decoder.config()));
  EXPECT_TRUE(loaded->params().has_gradients());
  EXPECT_FALSE(LoadModel(folder_.path(), false)->params().has_gradients());
  ExpectSameWeights(*loaded, decoder);

  const SafetensorsFile file(Weights());
  EXPECT_EQ(file.metadata().at("format"), "pt") << "transformers asks for it";
  EXPECT_EQ(file.tensors().size(), params.list().size());
  for (const auto& [name, tensor] : file.tensors()) EXPECT_EQ(tensor.dtype, DType::kF32) << name;

  const std::string before = ReadFile(Weights());
  SaveModel(folder_.path(), *loaded);
  EXPECT_EQ(ReadFile(Weights()), before);
}

TEST_F(Checkpoint, AFolderHoldsWhatTransformersNeedsAndNothingElse) {
  ModelConfig config = TinyConfig();
  config.eos_token_id = 7;
  for (const int64_t seed : {1, 2}) {  // the second over the first
    Decoder decoder(config, DType::kF32, false);
    FillRandomly(decoder, static_cast<uint64_t>(seed));
    SaveModel(folder_.path(), decoder);
    ExpectSameWeights(*LoadModel(folder_.path(), false), decoder);
  }
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_.path())) names.insert(entry.path().filename().string());
  EXPECT_EQ(names, (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"}));
  const Json generation = ReadJsonFile(folder_ / "generation_config.json");
  EXPECT_EQ(generation.at("eos_token_id"), 7);
  EXPECT_FALSE(generation.contains("bos_token_id")) << "a token that the model has not";
  Decoder decoder(config, DType::kF32, false);
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { SaveModel(folder_ / "gone", decoder); }), "gone");
}

// Single files, shards, bfloat16, tied heads and MTP modules, as transformers saved them.
TEST_F(Checkpoint, GoldenFoldersAreLoadedToTheLastBit) {
  for (const char* golden :
       {"v2_greedy", "v2_groups_bf16_sharded", "v3_bf16", "v3_groups", "v3_mtp", "v3_tied", "v3_yarn_sharded"}) {
    const fs::path folder = GoldenFolder() / "model" / golden, index = folder / "model.safetensors.index.json";
    EXPECT_EQ(fs::exists(index), std::string(golden).ends_with("sharded"));
    const auto decoder = LoadModel(folder, false);
    std::map<std::string, SafetensorsFile> files;
    const Json json = fs::exists(index) ? ReadJsonFile(index) : Json();
    for (const Param& param : decoder->params().list()) {
      const std::string& name = param.spec.name;
      const std::string file = fs::exists(index) ? json["weight_map"][name] : "model.safetensors";
      if (!files.contains(file)) files.emplace(file, folder / file);
      ExpectStored(param, files.at(file).tensors().at(name));
    }
    EXPECT_EQ(files.size(), fs::exists(index) ? 3u : 1u) << golden;

    SaveModel(folder_.path(), *decoder);  // the shape, too, survives our own writing
    const auto again = LoadModel(folder_.path(), false);
    EXPECT_EQ(WriteModelConfig(again->config()), WriteModelConfig(decoder->config())) << golden;
    ExpectSameWeights(*again, *decoder);
  }
}

TEST_F(Checkpoint, MtpModulesCountWhenTheirTensorsAreThere) {
  Take("v3_mtp");
  const auto decoder = LoadModel(folder_.path(), false);
  EXPECT_EQ(decoder->config().num_nextn_predict_layers, 1);
  const LooseTensors whole = ReadTensors(Weights());
  const std::string prefix = "model.layers.2.";

  LooseTensors copies = whole;  // as DeepSeek publishes them
  copies[prefix + "embed_tokens.weight"] = whole.at(embedding_);
  copies[prefix + "shared_head.head.weight"] = whole.at("lm_head.weight");
  WriteTensors(Weights(), copies);
  ExpectSameWeights(*LoadModel(folder_.path(), false), *decoder);

  LooseTensors without = whole;
  EXPECT_GT(std::erase_if(without, [&](const auto& entry) { return entry.first.starts_with(prefix); }), 0u);
  WriteTensors(Weights(), without);
  const auto main_only = LoadModel(folder_.path(), false);
  EXPECT_EQ(main_only->config().num_nextn_predict_layers, 0);
  for (const Param& param : main_only->params().list()) {
    EXPECT_TRUE(std::ranges::equal(BytesOf(param), whole.at(param.spec.name).data)) << param.spec.name;
  }

  LooseTensors half = whole;
  half.erase(prefix + "enorm.weight");
  EXPECT_MENTIONS(RefusalOf(half, prefix + "enorm.weight"), "is missing");
  half = whole;
  half.erase(prefix + "eh_proj.weight");
  EXPECT_MENTIONS(RefusalOf(half, ""), "unexpected tensor `" + prefix);
}

// bfloat16 in shards, and float32 with router biases, which stay float32 beside float64.
TEST_F(Checkpoint, WeightsGoIntoAModelThatIsThere) {
  for (const char* golden : {"v2_groups_bf16_sharded", "v3_groups"}) {
    const fs::path folder = GoldenFolder() / "model" / golden;
    const auto loaded = LoadModel(folder, false);
    Decoder narrow(loaded->config(), DType::kF32, true), wide(loaded->config(), DType::kF64, false);
    FillRandomly(narrow, 3);
    LoadWeights(folder, narrow);
    ExpectSameWeights(narrow, *loaded);

    LoadWeights(folder, wide);
    size_t biases = 0;
    for (size_t i = 0; i < wide.params().list().size(); ++i) {
      const Param &to = wide.params().list()[i], &from = loaded->params().list()[i];
      if (to.tensor.dtype() == DType::kF32) {
        EXPECT_TRUE(std::ranges::equal(BytesOf(to), BytesOf(from))) << to.spec.name;
        ++biases;
      } else {
        EXPECT_TRUE(std::ranges::equal(to.tensor.span<double>(), ValuesOf(from))) << to.spec.name;
      }
    }
    EXPECT_EQ(biases, loaded->config().is_v2() ? 0u : 1u) << golden;
  }
}

// bfloat16 and float32 matrices are used where they lie; the bits of all that is computed are those of widened copies.
TEST_F(Checkpoint, WeightsAreUsedWhereTheyAreMapped) {
  for (const char* golden : {"v2_groups_bf16_sharded", "v3_bf16", "v3_groups", "v3_tied", "v3_yarn_sharded"}) {
    const fs::path folder = GoldenFolder() / "model" / golden;
    const auto mapped = LoadModel(folder, false), owned = LoadModel(folder, true);
    const bool narrow = std::string(golden).find("bf16") != std::string::npos;
    for (const Param& param : mapped->params().list()) {
      const bool matrix = param.spec.shape.size() == 2;
      EXPECT_EQ(param.tensor.dtype(), matrix && narrow ? DType::kBF16 : DType::kF32) << param.spec.name;
    }
    EXPECT_EQ(LogitsOf(*mapped), LogitsOf(*owned)) << golden;
    const StoredModel stored(folder);
    const WeightMemory serving = MemoryToLoad(stored, false), training = MemoryToLoad(stored, true);
    EXPECT_GT(serving.mapped, 10 * serving.owned) << golden;
    EXPECT_EQ(training.mapped, 0);
    int64_t elements = 0;
    for (const ParamSpec& spec : ListParams(stored.config())) elements += spec.elements();
    EXPECT_EQ(training.owned, 4 * elements);
  }
}

// A header of odd length moves all data to odd addresses, where nothing can be computed with.
TEST_F(Checkpoint, UnalignedWeightsAreCopied) {
  Take("v3_bf16");
  const auto before = LoadModel(folder_.path(), true);
  std::string bytes = ReadFile(Weights());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.insert(8 + length, 1, ' ');
  ++length;
  std::memcpy(bytes.data(), &length, sizeof length);
  WriteFileAtomically(Weights(), bytes);
  EXPECT_EQ(MemoryToLoad(StoredModel(folder_.path()), false).mapped, 0);
  const auto loaded = LoadModel(folder_.path(), false);
  ExpectSameWeights(*loaded, *before);
  EXPECT_EQ(LogitsOf(*loaded), LogitsOf(*before));
}

// Experts are groups of one product, which takes one type.
TEST_F(Checkpoint, ExpertsOfSeveralTypesAreWidenedTogether) {
  Take("v3_bf16");
  const auto before = LoadModel(folder_.path(), true);
  LooseTensors tensors = ReadTensors(Weights());
  LooseTensor& one = tensors.at("model.layers.1.mlp.experts.3.down_proj.weight");
  std::vector<float> values(one.data.size() / 2);
  Widen({one.dtype, one.shape, one.data}, nullptr, 0, values);
  const auto wide = std::as_bytes(std::span(values));
  one = {DType::kF32, one.shape, {wide.begin(), wide.end()}};
  WriteTensors(Weights(), tensors);
  const auto loaded = LoadModel(folder_.path(), false);
  for (const Param& param : loaded->params().list()) {
    if (!param.spec.routed_expert) continue;
    EXPECT_EQ(param.tensor.dtype(), DType::kF32) << param.spec.name;
  }
  EXPECT_EQ(LogitsOf(*loaded), LogitsOf(*before));
}

// Every gate and up of an expert apart but one pair: a product of parts must serve both.
TEST_F(Checkpoint, NeighboursAreJoinedOnlyWhereTheyAreNeighbours) {
  Take("v3_groups");
  const auto before = LoadModel(folder_.path(), true);
  const SafetensorsFile file(Weights());
  std::vector<TensorToStore> tensors;
  const auto is_up = [](const std::string& name) { return name.find("up_proj") != std::string::npos; };
  for (const bool ups : {false, true}) {
    for (const auto& [name, tensor] : file.tensors()) {
      const bool kept = name.find("experts.5.") != std::string::npos;
      if ((is_up(name) && !kept) == ups) tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    }
  }
  TemporaryFolder other;
  WriteSafetensors(other / "model.safetensors", tensors);
  fs::copy(folder_ / "config.json", other / "config.json");
  const auto loaded = LoadModel(other.path(), false);
  const std::string expert = "model.layers.1.mlp.experts.";
  const auto parts = [&](int number) {
    return loaded->params()
        .Join(
            {fmt::format("{}{}.gate_proj.weight", expert, number), fmt::format("{}{}.up_proj.weight", expert, number)})
        .size();
  };
  EXPECT_EQ(parts(4), 2u);
  EXPECT_EQ(parts(5), 1u);
  EXPECT_EQ(LogitsOf(*loaded), LogitsOf(*before));
}

class NarrowTypes : public Checkpoint {
 protected:
  // The folder's matrices as `dtype` with these bits, each number from a small set that all types hold.
  LooseTensors Coarse(DType dtype) {
    LooseTensors tensors = ReadTensors(Weights());
    Random random(1, kStreamTest);
    for (auto& [name, tensor] : tensors) {
      if (tensor.shape.size() != 2) continue;
      const auto count = static_cast<size_t>(tensor.shape[0] * tensor.shape[1]);
      std::vector<std::byte> data(count * static_cast<size_t>(SizeOf(dtype)));
      for (size_t i = 0; i < count; ++i) {
        // A sign, two exponents and three fraction bits, as the eight-bit type has them.
        const auto small = static_cast<uint32_t>(random.Below(32));
        const auto bits8 = static_cast<uint8_t>((small & 16) << 3 | (5 + ((small >> 3) & 1)) << 3 | (small & 7));
        const uint32_t bits32 = std::bit_cast<uint32_t>(FloatFromF8E4M3(bits8));
        const auto half =
            static_cast<uint16_t>((bits32 >> 16 & 0x8000) | (((bits32 & 0x7fffffff) >> 13) - (112u << 10)));
        if (dtype == DType::kF8E4M3) std::memcpy(data.data() + i, &bits8, 1);
        if (dtype == DType::kF16) std::memcpy(data.data() + 2 * i, &half, 2);
        if (dtype == DType::kF32) std::memcpy(data.data() + 4 * i, &bits32, 4);
      }
      tensor = {dtype, tensor.shape, std::move(data)};
    }
    return tensors;
  }
  void Scale(LooseTensors& tensors, float scale) {
    const auto bytes = std::as_bytes(std::span(&scale, 1));
    LooseTensors scales;
    for (const auto& [name, tensor] : tensors) {
      if (tensor.dtype == DType::kF8E4M3)
        scales[name + "_scale_inv"] = {DType::kF32, {1, 1}, {bytes.begin(), bytes.end()}};
    }
    tensors.merge(scales);
  }
  void Declare(const Json& quantization) {
    Json config = ReadJsonFile(folder_ / "config.json");
    config["quantization_config"] = quantization;
    WriteFileAtomically(folder_ / "config.json", config.dump());
  }
  const Json fp8_ = {
      {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {128, 128}}, {"activation_scheme", "dynamic"}};
};

TEST_F(NarrowTypes, HalvesAreWidenedExactly) {
  Take("v3_groups");
  WriteTensors(Weights(), Coarse(DType::kF32));
  const auto expected = LoadModel(folder_.path(), true);
  WriteTensors(Weights(), Coarse(DType::kF16));
  for (const bool train : {false, true}) ExpectSameWeights(*LoadModel(folder_.path(), train), *expected);
}

TEST_F(NarrowTypes, EightBitsAreMultipliedByTheirScale) {
  Take("v3_groups");
  WriteTensors(Weights(), Coarse(DType::kF32));
  const auto expected = LoadModel(folder_.path(), true);
  for (const Param& param : expected->params().list()) {
    if (param.spec.shape.size() != 2) continue;
    for (float& value : param.tensor.span<float>()) value *= 0.3f;
  }
  LooseTensors tensors = Coarse(DType::kF8E4M3);
  Scale(tensors, 0.3f);
  WriteTensors(Weights(), tensors);
  EXPECT_MENTIONS(Refusal(), "no `quantization_config`");
  Declare(fp8_);
  for (const bool train : {false, true}) ExpectSameWeights(*LoadModel(folder_.path(), train), *expected);

  const std::string name = embedding_ + "_scale_inv";
  LooseTensors broken = tensors;
  broken.erase(name);
  EXPECT_MENTIONS(RefusalOf(broken, embedding_), "is missing");
  broken = tensors;
  broken[name] = Zeros(DType::kF32, {1, 2});
  EXPECT_MENTIONS(RefusalOf(broken, name), "must be F32 of shape [1, 1]");
  broken[name] = Zeros(DType::kBF16, {1, 1});
  EXPECT_MENTIONS(RefusalOf(broken, name), "must be F32");
  broken = tensors;
  broken["model.norm.weight_scale_inv"] = Zeros(DType::kF32, {1, 1});
  EXPECT_MENTIONS(RefusalOf(broken, "model.norm.weight_scale_inv"), "unexpected tensor");
}

// Written again they are numbers like others, and config.json says nothing of scales.
TEST_F(NarrowTypes, EightBitsAreWrittenAsTheNumbersTheyAre) {
  Take("v3_groups");
  LooseTensors tensors = Coarse(DType::kF8E4M3);
  Scale(tensors, 0.25f);  // so that bfloat16 holds the products
  WriteTensors(Weights(), tensors);
  Declare(fp8_);
  const auto expected = LoadModel(folder_.path(), true);
  for (const std::optional<DType> dtype : {std::optional<DType>(), std::optional(DType::kF32)}) {
    TemporaryFolder converted, saved;
    ConvertModel(StoredModel(folder_.path()), converted.path(), dtype, 1 << 20);
    SaveModel(saved.path(), *expected, {.dtype = dtype.value_or(DType::kBF16)});
    for (const fs::path& folder : {converted.path(), saved.path()}) {
      EXPECT_FALSE(ReadJsonFile(folder / "config.json").contains("quantization_config"));
      EXPECT_EQ(StoredModel(folder).tensors().size(), expected->params().list().size());
    }
    for (const Param& param : expected->params().list()) {
      const bool matrix = param.spec.shape.size() == 2;
      const DType type = StoredModel(converted.path()).Get(param.spec.name).dtype;
      EXPECT_EQ(type, matrix && !dtype ? DType::kBF16 : DType::kF32) << param.spec.name;
    }
    ExpectSameWeights(*LoadModel(converted.path(), false), *expected);
    if (dtype) ExpectSameWeights(*LoadModel(saved.path(), false), *expected);
  }
}

TEST_F(NarrowTypes, OtherQuantisationIsRefused) {
  for (const Json& other : {Json({{"quant_method", "gptq"}}), Json({{"quant_method", "fp8"}}), Json("fp8"), Json(1),
                            Json({{"quant_method", "fp8"}, {"weight_block_size", {64, 128}}}),
                            Json({{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}, {"fmt", "e5m2"}})}) {
    Take("v3_groups");
    Declare(other);
    EXPECT_MENTIONS(Refusal(), "quantization_config");
  }
}

// transformers' folders, read and written again: each tensor's bytes, each key of the config.
TEST_F(Checkpoint, WhatTransformersWroteIsWrittenAgainByteForByte) {
  for (const char* golden :
       {"v2_greedy", "v2_groups_bf16_sharded", "v3_bf16", "v3_groups", "v3_mtp", "v3_tied", "v3_yarn_sharded"}) {
    const fs::path folder = GoldenFolder() / "model" / golden;
    const StoredModel stored(folder);
    const bool narrow = stored.TypeNames() != "F32";
    for (const bool train : {false, true}) {
      TemporaryFolder out;
      SaveModel(out.path(), *LoadModel(folder, train),
                {.dtype = narrow ? DType::kBF16 : DType::kF32, .most_bytes = 9000});
      const StoredModel again(out.path());
      EXPECT_GT(again.files().size(), 1u);
      ASSERT_EQ(again.tensors().size(), stored.tensors().size()) << golden;
      for (const auto& [name, tensor] : stored.tensors()) {
        EXPECT_EQ(again.Get(name).dtype, tensor->dtype) << golden << " " << name;
        EXPECT_EQ(again.Get(name).shape, tensor->shape);
        EXPECT_TRUE(std::ranges::equal(again.Get(name).data, tensor->data)) << golden << " " << name;
      }
      Json expected = ReadJsonFile(folder / "config.json"), config = ReadJsonFile(out / "config.json");
      expected["num_nextn_predict_layers"] = config["num_nextn_predict_layers"] =
          stored.config().num_nextn_predict_layers;  // said in full
      EXPECT_EQ(config, expected) << golden;
    }
  }
}

TEST_F(Checkpoint, KeysThatNobodyKnowsAreKept) {
  Take("v3_groups");
  Json config = ReadJsonFile(folder_ / "config.json");
  config["my_note"] = {{"deep", {1, 2.5, nullptr}}};
  config["auto_map"] = "x";
  WriteFileAtomically(folder_ / "config.json", config.dump());
  TemporaryFolder out;
  SaveModel(out.path(), *LoadModel(folder_.path(), true), {.dtype = DType::kBF16});
  const Json again = ReadJsonFile(out / "config.json");
  EXPECT_EQ(again["my_note"], config["my_note"]);
  EXPECT_EQ(again["auto_map"], "x");
  EXPECT_EQ(again[config.contains("dtype") ? "dtype" : "torch_dtype"], "bfloat16");
  const std::string bias = "model.layers.1.mlp.gate.e_score_correction_bias";
  EXPECT_EQ(StoredModel(out.path()).Get(bias).dtype, DType::kF32);

  // One that was bfloat16 stays so until training moves it where bfloat16 cannot follow.
  Take("v3_bf16");
  for (const float nudge : {0.f, 1e-3f}) {
    const auto decoder = LoadModel(folder_.path(), true);
    decoder->params().Get(bias).as<float>()[0] = 0.5f + nudge;
    SaveModel(out.path(), *decoder, {.dtype = DType::kBF16});
    EXPECT_EQ(StoredModel(out.path()).Get(bias).dtype, nudge == 0 ? DType::kBF16 : DType::kF32);
    EXPECT_EQ(LoadModel(out.path(), true)->params().Get(bias).as<float>()[0], 0.5f + nudge);
  }
}

using CheckpointDeathTest = Checkpoint;

TEST_F(CheckpointDeathTest, OnlyFloat32ModelsAreSaved) {
  Decoder decoder(TinyConfig(), DType::kF64, false);
  EXPECT_DEATH(SaveModel(folder_.path(), decoder), "CHECK failed");
}

}  // namespace
}  // namespace sputnik
