// Folders that are refused, with a message that names the file, the tensor and the reason.
#include <set>

#include "tests/support/model_trial.h"
#include "tests/support/published.h"

namespace sputnik {
namespace {

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

}  // namespace
}  // namespace sputnik
