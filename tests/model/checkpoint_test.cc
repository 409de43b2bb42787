#include "model/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/published.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// Tensors that a test may change, lose or add to before it writes them.
struct LooseTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
};
using LooseTensors = std::map<std::string, LooseTensor>;

LooseTensors ReadTensors(const fs::path& path) {
  LooseTensors loose;
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : file.tensors()) {
    loose[name] = {tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()}};
  }
  return loose;
}

void WriteTensors(const fs::path& path, const LooseTensors& loose) {
  std::vector<TensorToStore> tensors;
  for (const auto& [name, tensor] : loose) tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
  WriteSafetensors(path, tensors);
}

LooseTensor Zeros(DType dtype, std::vector<int64_t> shape) {
  int64_t bytes = SizeOf(dtype);
  for (const int64_t size : shape) bytes *= size;
  return {dtype, std::move(shape), std::vector<std::byte>(static_cast<size_t>(bytes))};
}

// Random weights, router biases included.
void FillRandomly(Decoder& decoder, uint64_t seed) {
  decoder.params().Initialise(decoder.config(), seed);
  Random random(seed, kStreamTest);
  for (const auto& [layer, bias] : decoder.RouterBiases()) {
    for (float& value : bias.span<float>()) value = static_cast<float>(random.Normal());
  }
}

std::span<const std::byte> BytesOf(const Param& param) {
  const auto bytes = static_cast<size_t>(param.spec.elements() * SizeOf(param.tensor.dtype()));
  return {static_cast<const std::byte*>(param.tensor.data()), bytes};
}

void ExpectSameWeights(const Decoder& a, const Decoder& b) {
  ASSERT_EQ(a.params().list().size(), b.params().list().size());
  for (size_t i = 0; i < a.params().list().size(); ++i) {
    const Param &x = a.params().list()[i], &y = b.params().list()[i];
    EXPECT_EQ(x.spec.name, y.spec.name);
    EXPECT_TRUE(std::ranges::equal(BytesOf(x), BytesOf(y))) << x.spec.name;
  }
}

// The values of a parameter against those of the file, bfloat16 or not.
void ExpectStored(const Param& param, const StoredTensor& stored) {
  ASSERT_EQ(stored.elements(), param.spec.elements()) << param.spec.name;
  for (int64_t i = 0; i < stored.elements(); ++i) {
    float expected = 0;
    uint16_t half = 0;
    if (stored.dtype == DType::kBF16) {
      std::memcpy(&half, stored.data.data() + 2 * i, 2);
      expected = FloatFromBF16(half);
    } else {
      std::memcpy(&expected, stored.data.data() + 4 * i, 4);
    }
    ASSERT_EQ(param.tensor.as<float>()[i], expected) << param.spec.name << " " << i;
  }
}

class Checkpoint : public testing::Test {
 protected:
  // A copy of a golden folder that may be spoilt.
  void Take(const std::string& golden) {
    fs::copy(GoldenFolder() / "model" / golden, folder_.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  fs::path Weights() const { return folder_ / "model.safetensors"; }
  // The message with which the folder is refused: it names the folder and, if given, the tensor.
  std::string Refusal(const std::string& tensor = "") {
    const std::string message = ExpectError(ExitCode::kBadInput, [&] { LoadModel(folder_.path(), false); });
    EXPECT_MENTIONS(message, folder_.path().string());
    if (!tensor.empty()) {
      EXPECT_MENTIONS(message, fmt::format("`{}`", tensor));
    }
    return message;
  }
  std::string RefusalOf(const LooseTensors& tensors, const std::string& tensor) {
    WriteTensors(Weights(), tensors);
    return Refusal(tensor);
  }
  void WriteIndex(const Json& weight_map) {
    WriteFileAtomically(folder_ / "model.safetensors.index.json", Json({{"weight_map", weight_map}}).dump());
  }

  TemporaryFolder folder_;
  const std::string embedding_ = "model.embed_tokens.weight";
};

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

TEST_F(Checkpoint, AMissingTensorIsNamed) {
  Take("v3_groups");
  const LooseTensors whole = ReadTensors(Weights());
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias", "model.layers.1.mlp.experts.7.up_proj.weight",
        "model.layers.0.self_attn.kv_a_layernorm.weight"}) {
    LooseTensors tensors = whole;
    ASSERT_EQ(tensors.erase(name), 1u) << name;
    EXPECT_MENTIONS(RefusalOf(tensors, name), "is missing");
  }
}

TEST_F(Checkpoint, AnUnknownTensorIsNamed) {
  Take("v3_groups");
  const LooseTensors whole = ReadTensors(Weights());
  for (const char* name : {"model.layers.2.input_layernorm.weight", "model.layers.1.mlp.experts.8.up_proj.weight",
                           "model.embed_tokens.weight_scale_inv", "embed_tokens.weight", "other"}) {
    LooseTensors tensors = whole;
    tensors[name] = Zeros(DType::kF32, {16});
    EXPECT_MENTIONS(RefusalOf(tensors, name), "unexpected tensor");
  }
}

TEST_F(Checkpoint, AWrongShapeIsNamedWithTheRightOne) {
  Take("v3_groups");
  const LooseTensors whole = ReadTensors(Weights());
  for (const auto& [shape, text] : std::map<std::vector<int64_t>, std::string>{{{16, 40}, "[16, 40]"},
                                                                               {{40, 15}, "[40, 15]"},
                                                                               {{640}, "[640]"},
                                                                               {{40, 16, 1}, "[40, 16, 1]"},
                                                                               {{}, "[]"}}) {
    LooseTensors tensors = whole;
    tensors[embedding_] = Zeros(DType::kF32, shape);
    EXPECT_MENTIONS(RefusalOf(tensors, embedding_), "has shape " + text + ", but config.json asks for [40, 16]");
  }
}

TEST_F(Checkpoint, TypesThatAreNoWeightsAreRefused) {
  Take("v3_groups");
  for (const DType dtype : {DType::kF64, DType::kI32}) {
    LooseTensors tensors = ReadTensors(Weights());
    tensors[embedding_] = Zeros(dtype, {40, 16});
    EXPECT_MENTIONS(RefusalOf(tensors, embedding_), std::string(NameOf(dtype)) + "; F32 and BF16 can be loaded");
    Take("v3_groups");
  }
}

TEST_F(Checkpoint, ATruncatedFileIsRefused) {
  Take("v3_groups");
  const auto whole = fs::file_size(Weights());
  for (const auto bytes : {whole - 1, whole / 2, uintmax_t{100}, uintmax_t{0}}) {
    fs::resize_file(Weights(), bytes);
    EXPECT_MENTIONS(Refusal(), Weights().string());
  }
}

TEST_F(Checkpoint, HalfAFolderIsRefused) {
  EXPECT_MENTIONS(Refusal(), "config.json");
  Take("v3_groups");
  fs::remove(folder_ / "config.json");
  EXPECT_MENTIONS(Refusal(), "config.json");
  Take("v3_groups");
  fs::remove(Weights());
  EXPECT_MENTIONS(Refusal(), "no model.safetensors");
}

// Were memory taken before the file is looked at, it would be more than two terabytes.
TEST_F(Checkpoint, AHugeConfigBesideASmallFileIsRefused) {
  Take("v3_groups");
  WriteFileAtomically(folder_ / "config.json", kV3Json);
  EXPECT_MENTIONS(Refusal(embedding_), "asks for [129280, 7168]");
}

class Shards : public Checkpoint {
 protected:
  Shards() {
    Take("v3_yarn_sharded");
    map_ = ReadJsonFile(folder_ / "model.safetensors.index.json").at("weight_map");
  }
  fs::path Shard(const std::string& tensor) const { return folder_ / map_.at(tensor).get<std::string>(); }

  Json map_;
};

TEST_F(Shards, AnIndexStaysInItsFolder) {
  TemporaryFolder outside;
  fs::copy(Shard(embedding_), outside / "shard.safetensors");
  fs::create_directory(folder_ / "sub");
  fs::copy(Shard(embedding_), folder_ / "sub" / "shard.safetensors");
  const std::string beside = "../" + outside.path().filename().string() + "/shard.safetensors";
  ASSERT_TRUE(fs::exists(folder_ / beside));
  for (const std::string& file :
       {beside, (outside / "shard.safetensors").string(), std::string("sub/shard.safetensors"),
        std::string("./model-00001-of-00003.safetensors"), std::string("..")}) {
    map_[embedding_] = file;
    WriteIndex(map_);
    EXPECT_MENTIONS(Refusal(embedding_), "not a file name in this folder") << file;
  }
  map_[embedding_] = "";
  WriteIndex(map_);
  EXPECT_MENTIONS(Refusal(embedding_), "not a file name");
  map_[embedding_] = ".";
  WriteIndex(map_);
  EXPECT_MENTIONS(Refusal(), "not a regular file");
}

TEST_F(Shards, AnIndexThatIsNoneIsRefused) {
  const fs::path index = folder_ / "model.safetensors.index.json";
  for (const char* text : {"[]", "{}", "{\"weight_map\":[]}"}) {
    WriteFileAtomically(index, text);
    EXPECT_MENTIONS(Refusal(), "no `weight_map` object");
  }
  WriteFileAtomically(index, "{\"weight_map\":");
  EXPECT_MENTIONS(Refusal(), index.string());
  map_[embedding_] = 1;
  WriteIndex(map_);
  EXPECT_MENTIONS(Refusal(embedding_), "not a string");
  WriteIndex(Json::object());
  EXPECT_MENTIONS(Refusal(), "is missing");
}

TEST_F(Shards, AnIndexAndItsFilesMustAgree) {
  const std::string file = map_[embedding_], norm_file = map_["model.norm.weight"];
  ASSERT_NE(file, norm_file);
  map_[embedding_] = norm_file;
  WriteIndex(map_);
  EXPECT_MENTIONS(Refusal(embedding_), "says tensor `" + embedding_ + "` is in " + norm_file);
  map_[embedding_] = file;
  map_["ghost"] = file;
  WriteIndex(map_);
  EXPECT_MENTIONS(Refusal("ghost"), "is the download complete?");
  map_.erase("ghost");
  WriteIndex(map_);

  LooseTensors tensors = ReadTensors(Shard("model.norm.weight"));
  tensors[embedding_] = Zeros(DType::kF32, {40, 16});
  WriteTensors(folder_ / norm_file, tensors);
  EXPECT_MENTIONS(Refusal(embedding_), "is in another shard too");
  tensors.erase(embedding_);
  tensors["stray"] = Zeros(DType::kF32, {1});
  WriteTensors(folder_ / norm_file, tensors);
  EXPECT_MENTIONS(Refusal("stray"), "unexpected tensor");
  tensors.erase("stray");
  WriteTensors(folder_ / norm_file, tensors);
  LoadModel(folder_.path(), false);  // whole again

  fs::remove(folder_ / norm_file);
  EXPECT_MENTIONS(Refusal(), norm_file);
}

TEST_F(Shards, ASingleFileGoesBeforeAnIndex) {
  const auto sharded = LoadModel(folder_.path(), false);
  FillRandomly(*sharded, 5);
  SaveModel(folder_.path(), *sharded);
  ExpectSameWeights(*LoadModel(folder_.path(), false), *sharded);
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

TEST_F(Checkpoint, TiedFoldersMayRepeatTheEmbeddingButNotDenyIt) {
  Take("v3_tied");
  const auto decoder = LoadModel(folder_.path(), false);
  LooseTensors tensors = ReadTensors(Weights());
  ASSERT_FALSE(tensors.contains("lm_head.weight"));
  tensors["lm_head.weight"] = tensors[embedding_];
  WriteTensors(Weights(), tensors);
  ExpectSameWeights(*LoadModel(folder_.path(), false), *decoder);
  tensors["lm_head.weight"].data.back() ^= std::byte{1};
  EXPECT_MENTIONS(RefusalOf(tensors, "lm_head.weight"), "config.json ties them");
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
        EXPECT_TRUE(std::ranges::equal(to.tensor.span<double>(), from.tensor.span<float>())) << to.spec.name;
      }
    }
    EXPECT_EQ(biases, loaded->config().is_v2() ? 0u : 1u) << golden;
  }
}

TEST_F(Checkpoint, ARefusedFolderLeavesTheModelAsItWas) {
  Take("v3_mtp");
  LooseTensors tensors = ReadTensors(Weights());
  ModelConfig config = LoadModel(folder_.path(), false)->config();
  Decoder decoder(config, DType::kF32, false), before(config, DType::kF32, false);
  FillRandomly(decoder, 3);
  FillRandomly(before, 3);
  const auto refuse = [&](Decoder& target, const std::string& part) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { LoadWeights(folder_.path(), target); }), part);
  };
  tensors.erase("model.layers.2.shared_head.norm.weight");  // the last in the list
  WriteTensors(Weights(), tensors);
  refuse(decoder, "`model.layers.2.shared_head.norm.weight` is missing");
  ExpectSameWeights(decoder, before);

  Take("v3_mtp");
  config.num_nextn_predict_layers = 0;
  Decoder main_only(config, DType::kF32, false);
  refuse(main_only, "unexpected tensor `model.layers.2.");
}

using CheckpointDeathTest = Checkpoint;

TEST_F(CheckpointDeathTest, OnlyFloat32ModelsAreSaved) {
  Decoder decoder(TinyConfig(), DType::kF64, false);
  EXPECT_DEATH(SaveModel(folder_.path(), decoder), "CHECK failed");
}

}  // namespace
}  // namespace sputnik
