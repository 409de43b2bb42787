#include "app/convert.h"

#include <algorithm>

#include "base/json.h"
#include "model/checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/model_folders.h"
#include "tests/support/program.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

TEST(ConvertSizes, AreReadWithTheirUnits) {
  EXPECT_EQ(ParseByteSize("5GB", "--x"), 5'000'000'000);
  EXPECT_EQ(ParseByteSize("1.5 MiB", "--x"), 3 << 19);
  EXPECT_EQ(ParseByteSize("16KB", "--x"), 16'000);
  EXPECT_EQ(ParseByteSize("700", "--x"), 700);
  for (const char* bad : {"", "GB", "5gb", "-1GB", "0", "5 G", "1e40", "5GB5", "nan", "inf"}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { ParseByteSize(bad, "--x"); }), "--x: ");
  }
}

class ConvertVerb : public testing::Test {
 protected:
  fs::path Golden(const std::string& name) const { return GoldenFolder() / "model" / name; }
  void Convert(const fs::path& from, std::vector<std::string> flags = {}) {
    fs::remove_all(out_);
    flags.insert(flags.begin(), {"convert", from.string(), "--out", out_.string()});
    EXPECT_EQ(OutputOf(flags), "");
  }
  std::vector<std::string> Beside() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.push_back(entry.path().filename().string());
    return names;
  }

  TemporaryFolder folder_;
  const fs::path out_ = folder_ / "out";
};

// An adapter of PEFT's, used beside its model and merged into it, by name of the base or by its own.
TEST_F(ConvertVerb, AnAdapterIsMerged) {
  const fs::path base = Golden("v3_groups"), adapter = folder_ / "adapter";
  fs::copy(GoldenFolder() / "lora" / "v3_everything", adapter);
  const auto scores = [](std::vector<std::string> flags) {
    flags.insert(flags.begin(), "score");
    const Json line = Json::parse(OutputOf(flags, "{\"tokens\": [3, 9, 4, 17, 30, 2, 8]}\n"));
    std::vector<double> logprobs;
    for (size_t i = 1; i < line["logprobs"].size(); ++i) logprobs.push_back(line["logprobs"][i].get<double>());
    return logprobs;
  };
  Convert(base, {"--adapter", adapter.string()});
  const std::vector<double> plain = scores({"--model", base.string()}),
                            beside = scores({"--model", base.string(), "--adapter", adapter.string()}),
                            merged = scores({"--model", out_.string()});
  ASSERT_EQ(plain.size(), 6u);
  EXPECT_LE(LargestDifference(beside, merged), 1e-4);
  EXPECT_GE(LargestDifference(beside, plain), 0.1);
  Json config = ReadJsonFile(adapter / "adapter_config.json");
  config["base_model_name_or_path"] = base.string();
  WriteFileAtomically(adapter / "adapter_config.json", config.dump());
  EXPECT_EQ(scores({"--model", adapter.string()}), beside);
  const Outcome twice = RunProgram({"score", "--model", adapter.string(), "--adapter", adapter.string()});
  EXPECT_EQ(twice.code, 2);
  EXPECT_MENTIONS(twice.err, "--adapter");
  const Json about = Json::parse(OutputOf({"info", adapter.string(), "--json"}));
  EXPECT_EQ(about["base"], base.string());
}

// MTP modules with their copies, shards, tied heads: all bytes and all keys.
TEST_F(ConvertVerb, WithoutATypeOnlyTheFilesAreCutAnew) {
  for (const char* name : {"v3_mtp", "v2_groups_bf16_sharded", "v3_bf16", "v3_tied"}) {
    Convert(Golden(name), {"--max-shard-size", "9KB"});
    const StoredModel from(Golden(name)), to(out_);
    EXPECT_GT(to.files().size(), 1u);
    ASSERT_EQ(to.tensors().size(), from.tensors().size());
    for (const auto& [tensor, stored] : from.tensors()) {
      EXPECT_EQ(to.Get(tensor).dtype, stored->dtype);
      EXPECT_TRUE(std::ranges::equal(to.Get(tensor).data, stored->data)) << tensor;
    }
    for (const SafetensorsFile& file : to.files()) EXPECT_EQ(file.metadata().at("format"), "pt");
    Json expected = ReadJsonFile(from.folder() / "config.json");
    expected["num_nextn_predict_layers"] = from.config().num_nextn_predict_layers;
    Json written = ReadJsonFile(out_ / "config.json");
    written["num_nextn_predict_layers"] = to.config().num_nextn_predict_layers;
    EXPECT_EQ(written, expected) << name;
    EXPECT_EQ(ReadFile(out_ / "generation_config.json"), ReadFile(from.folder() / "generation_config.json"));
  }
}

TEST_F(ConvertVerb, TypesAreRoundedOnceAndWidenedExactly) {
  Convert(Golden("v3_groups"), {"--dtype", "bf16"});
  const StoredModel wide(Golden("v3_groups")), narrow(out_);
  const std::string head = "lm_head.weight", bias = "model.layers.1.mlp.gate.e_score_correction_bias";
  EXPECT_EQ(narrow.Get(bias).dtype, DType::kF32);
  const auto* from = reinterpret_cast<const float*>(wide.Get(head).data.data());
  const auto* to = reinterpret_cast<const uint16_t*>(narrow.Get(head).data.data());
  for (int64_t i = 0; i < wide.Get(head).elements(); ++i) ASSERT_EQ(to[i], BF16FromFloat(from[i])) << i;
  const Json config = ReadJsonFile(out_ / "config.json");
  EXPECT_EQ(config.contains("dtype") ? config["dtype"] : config["torch_dtype"], "bfloat16");

  const TemporaryFolder kept;
  fs::copy(out_, kept / "narrow", fs::copy_options::recursive);
  Convert(kept / "narrow", {"--dtype", "f32"});
  EXPECT_EQ(StoredModel(out_).TypeNames(), "F32");
  Convert(kept / "narrow");
  EXPECT_EQ(StoredModel(out_).TypeNames(), "F32, BF16") << "router biases stay as they are";
}

TEST_F(ConvertVerb, ATokenizerIsTakenAlongAndTheModelSaysTheSame) {
  const Tokenizer tokenizer = MakeTinyFolder(folder_ / "model");
  Convert(folder_ / "model");
  EXPECT_EQ(Tokenizer::Load(out_).hash(), tokenizer.hash());
  const std::string text = "{\"text\": \"hello\"}";
  EXPECT_EQ(OutputOf({"score", "--model", out_.string()}, text),
            OutputOf({"score", "--model", (folder_ / "model").string()}, text));
}

TEST_F(ConvertVerb, WhatIsThereIsLeftAlone) {
  fs::create_directories(out_ / "mine");
  const std::string model = Golden("v3_tied").string();
  EXPECT_MENTIONS(MessageOf(2, {"convert", model, "--out", out_.string()}), "something in it already");
  fs::remove(out_ / "mine");
  EXPECT_EQ(OutputOf({"convert", model, "--out", out_.string()}), "") << "an empty folder will do";
  EXPECT_MENTIONS(MessageOf(2, {"convert", model, "--out", out_.string()}), "something in it already");
  EXPECT_EQ(Beside(), (std::vector<std::string>{"out"}));
}

TEST_F(ConvertVerb, AFailureLeavesNothingBehind) {
  const TemporaryFolder broken;
  fs::copy(Golden("v3_tied"), broken.path(), fs::copy_options::recursive);
  fs::resize_file(broken / "model.safetensors", fs::file_size(broken / "model.safetensors") - 1);
  EXPECT_MENTIONS(MessageOf(3, {"convert", broken.path().string(), "--out", out_.string()}), "model.safetensors");
  EXPECT_MENTIONS(MessageOf(2, {"convert", Golden("v3_tied").string(), "--out", out_.string(), "--dtype", "fp4"}),
                  "--dtype");
  EXPECT_MENTIONS(MessageOf(2, {"convert", Golden("v3_tied").string()}), "--out");
  EXPECT_TRUE(Beside().empty());
}

}  // namespace
}  // namespace sputnik
