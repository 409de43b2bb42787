#include "model/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <set>

#include "base/json.h"
#include "kernel/backend.h"
#include "op/logprob.h"
#include "tensor/widen.h"
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

// Whatever type a parameter has.
std::vector<float> ValuesOf(const Param& param) {
  std::vector<float> values(static_cast<size_t>(param.spec.elements()));
  Widen({param.tensor.dtype(), param.spec.shape, BytesOf(param)}, nullptr, 0, values);
  return values;
}

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));
}

void ExpectSameWeights(const Decoder& a, const Decoder& b) {
  ASSERT_EQ(a.params().list().size(), b.params().list().size());
  for (size_t i = 0; i < a.params().list().size(); ++i) {
    const Param &x = a.params().list()[i], &y = b.params().list()[i];
    EXPECT_EQ(x.spec.name, y.spec.name);
    EXPECT_TRUE(SameBits(ValuesOf(x), ValuesOf(y))) << x.spec.name;
  }
}

// The values of a parameter against those of the file.
void ExpectStored(const Param& param, const StoredTensor& stored) {
  std::vector<float> expected(static_cast<size_t>(stored.elements()));
  Widen(stored, nullptr, 0, expected);
  EXPECT_TRUE(SameBits(ValuesOf(param), expected)) << param.spec.name;
}

// Logits of a few tokens, which depend on every weight but the MTP modules'.
std::vector<float> LogitsOf(const Decoder& decoder) {
  ThreadPool pool(1);
  Arena arena(int64_t{1} << 26);
  Pass pass({KernelsFor("cpu"), pool}, arena);
  const ForwardResult result = decoder.Forward(pass, RandomBatch(decoder.config(), {5, 9}, 3));
  const std::span<float> logits = Logits(pass, result.hidden, decoder.head()).span<float>();
  return {logits.begin(), logits.end()};
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
    EXPECT_MENTIONS(RefusalOf(tensors, embedding_),
                    std::string(NameOf(dtype)) + "; F32, BF16, F16 and F8_E4M3 can be loaded");
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
  EXPECT_MENTIONS(Refusal(embedding_), "not a file name");
  fs::create_directory(folder_ / "folder");
  map_[embedding_] = "folder";
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
  EXPECT_MENTIONS(Refusal(), "`weight_map` is empty");
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

TEST_F(Shards, ATotalThatIsNotTrueIsRefused) {
  const fs::path index = folder_ / "model.safetensors.index.json";
  Json json = ReadJsonFile(index);
  const auto total = json["metadata"]["total_size"].get<int64_t>();
  for (const int64_t wrong : {total - 1, total + 4, int64_t{0}}) {
    json["metadata"]["total_size"] = wrong;
    WriteFileAtomically(index, json.dump());
    EXPECT_MENTIONS(Refusal(), fmt::format("`total_size` is {}, but the files hold {} bytes", wrong, total));
  }
}

// As the caches of other programs are laid out.
TEST_F(Shards, LinksToShardsAreFollowed) {
  TemporaryFolder blobs;
  const auto before = LoadModel(folder_.path(), true);
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    if (entry.path().extension() != ".safetensors" || entry.path().filename() == "golden.safetensors") continue;
    const fs::path blob = blobs / entry.path().filename().string().substr(0, 11);
    fs::rename(entry.path(), blob);
    fs::create_symlink(blob, entry.path());
  }
  ExpectSameWeights(*LoadModel(folder_.path(), false), *before);
  fs::remove_all(blobs.path());
  EXPECT_MENTIONS(Refusal(), "cannot open");
}

TEST_F(Shards, ASingleFileGoesBeforeAnIndex) {
  const auto sharded = LoadModel(folder_.path(), true);
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
        EXPECT_TRUE(std::ranges::equal(to.tensor.span<double>(), ValuesOf(from))) << to.spec.name;
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

TEST_F(Checkpoint, ConfigsThatLieAreBadInput) {
  Take("v3_groups");
  const std::string text = ReadFile(folder_ / "config.json");
  const auto refusal = [&](const std::string& config) {
    WriteFileAtomically(folder_ / "config.json", config);
    return Refusal();
  };
  EXPECT_MENTIONS(refusal("{\"hidden_size\": 16," + text.substr(text.find('{') + 1)), "`hidden_size` stands twice");
  EXPECT_MENTIONS(refusal(text + std::string(1 << 19, ' ')), "more than such a file needs");
  EXPECT_MENTIONS(refusal("[]"), "config.json");
  EXPECT_MENTIONS(refusal("{}"), "model_type");
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
