#include "app/info.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>

#include "base/json.h"
#include "model/param.h"
#include "tests/support/expect_error.h"
#include "tests/support/model_folders.h"
#include "tests/support/program.h"
#include "tests/support/published.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class InfoTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, std::string_view text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  Json Described(std::string_view config) {
    return Json::parse(OutputOf({"info", "--config", Write("config.json", config), "--json"}));
  }

  TemporaryFolder folder_;
};

TEST_F(InfoTest, CountsThePublishedModelsToTheLastUnit) {
  const Json v3 = Described(kV3Json);
  EXPECT_EQ(v3["parameters"], 671'026'419'200);
  EXPECT_EQ(Described(kV2Json)["parameters"], 235'741'434'880);
  EXPECT_EQ(Described(kV2LiteJson)["parameters"], 15'706'484'224);
  EXPECT_EQ(Described(kMoonlightJson)["parameters"], 15'960'110'208);

  int64_t parts = 0;
  for (const auto& [name, count] : v3["parts"].items()) parts += count.get<int64_t>();
  EXPECT_EQ(parts, 671'026'419'200);
  EXPECT_EQ(v3["parts"]["embedding"], 129280 * 7168);
  EXPECT_EQ(v3["mtp_depth"], 1);
  EXPECT_GT(v3["mtp_parameters"].get<int64_t>(), 11'000'000'000);
  EXPECT_EQ(v3["cache_bytes_per_token"], 61 * (512 + 64) * 2);
  EXPECT_EQ(v3["cache_bytes_per_token_f32"], 61 * (512 + 64) * 4);
  // 37 billion active parameters, as the report says, and two operations for each.
  EXPECT_NEAR(v3["active_parameters"].get<double>(), 37e9, 1e9);
  EXPECT_GT(v3["inference_flops_per_token"].get<double>(), 2 * 36e9);
  EXPECT_GT(v3["training_flops_per_token"].get<double>(), 6 * 36e9);
}

TEST_F(InfoTest, OtherFamiliesAreCountedToo) {
  const Json qwen = Described(kQwen25Json), moe = Described(kQwen3MoeJson), llama = Described(kLlama32Json);
  EXPECT_EQ(qwen["parameters"], 1'543'714'304);
  EXPECT_EQ(qwen["parts"]["head"], 0);  // tied
  EXPECT_EQ(qwen["cache_bytes_per_token"], 28 * 2 * (128 + 128) * 2);
  EXPECT_EQ(moe["parameters"], 30'532'122'624);
  EXPECT_EQ(moe["routed_experts"], 128);
  EXPECT_EQ(moe["key_heads"], 4);
  EXPECT_EQ(llama["parameters"], 1'235'814'400);
  EXPECT_EQ(llama["cache_bytes_per_token"], 16 * 8 * (64 + 64) * 2);
  // Two operations for every weight, and for every key, layer and head a score of 64 and a value of 64 numbers.
  EXPECT_EQ(llama["inference_flops_per_token"], 2.0 * 1'235'814'400 + 4096.0 * 16 * 32 * 2 * (64 + 64));
}

TEST_F(InfoTest, ContextsCostOperations) {
  const std::string config = Write("config.json", kV3Json);
  const auto flops = [&](const char* context) {
    const Json json = Json::parse(OutputOf({"info", "--config", config, "--json", "--context", context}));
    return json["inference_flops_per_token"].get<double>();
  };
  // Each key costs every layer and head a score of 192 and a value of 128 numbers.
  EXPECT_NEAR(flops("2048") - flops("1024"), 1024.0 * 61 * 128 * 2 * (192 + 128), 1e3);
}

TEST_F(InfoTest, NoWeightsAreAllocated) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more memory than this test allows";
#endif
  const std::string config = Write("config.json", kV3Json);
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit small{.rlim_cur = rlim_t{1} << 30, .rlim_max = rlim_t{1} << 30};
    ::setrlimit(RLIMIT_DATA, &small);
    ::close(STDOUT_FILENO);
    ::open("/dev/null", O_WRONLY);
    BecomeProgram({"info", "--config", config});
  }
  EXPECT_EQ(WaitForExit(child), 0);
}

TEST_F(InfoTest, AModelFolderIsDescribedWithWhereItComesFrom) {
  const Tokenizer tokenizer = MakeTinyFolder(folder_.path());
  const Json json = Json::parse(OutputOf({"info", folder_.path().string(), "--json"}));
  EXPECT_EQ(json["folder"], folder_.path().string());
  EXPECT_EQ(json["tokenizer_hash"], tokenizer.hash());
  EXPECT_EQ(json["tokenizer_ids"], tokenizer.vocab_size());
  EXPECT_EQ(json["parameters"], CountParams(ReadModelConfig(folder_ / "config.json")).total);
  EXPECT_EQ(Json::parse(OutputOf({"info", "--model", folder_.path().string(), "--json"})), json);
  const std::string text = OutputOf({"info", "-m", folder_.path().string()});
  EXPECT_MENTIONS(text, "parameters");
  EXPECT_MENTIONS(text, "tokenizer_ids");
}

TEST_F(InfoTest, StoredWeightsTemplatesAndSpecialTokensAreDescribed) {
  const Tokenizer tokenizer = MakeTinyFolder(folder_.path());
  const auto described = [&] { return Json::parse(OutputOf({"info", folder_.path().string(), "--json"})); };
  Json json = described();
  EXPECT_EQ(json["stored"]["types"], "F32");
  EXPECT_EQ(json["stored"]["files"], 1);
  EXPECT_EQ(json["stored"]["bytes"], 4 * json["parameters"].get<int64_t>());
  EXPECT_EQ(json["special_tokens"]["eos"]["id"], tokenizer.eos_id());
  EXPECT_EQ(json["special_tokens"]["eos"]["text"], tokenizer.TokenBytes(tokenizer.eos_id()));
  EXPECT_GT(json["special_tokens"]["count"], 1);
  Write("chat_template.jinja", "x");
  EXPECT_EQ(described()["chat_template"], "chat_template.jinja");
  const std::string text = OutputOf({"info", folder_.path().string()});
  for (const char* part : {"special tokens", "chat template", "stored", "memory to serve", "memory to train"}) {
    EXPECT_MENTIONS(text, part);
  }
  // A tokenizer that cannot be read is said, and the model described nevertheless.
  Write("tokenizer.json", "{}");
  json = described();
  EXPECT_MENTIONS(json["tokenizer_error"].get<std::string>(), "tokenizer.json");
  EXPECT_GT(json["parameters"], 0);
  fs::resize_file(folder_ / "model.safetensors", 100);
  EXPECT_MENTIONS(MessageOf(3, {"info", folder_.path()}), "model.safetensors");
}

TEST_F(InfoTest, MemoryGrowsWithTheContext) {
  const std::string config = Write("config.json", kV3Json);
  const auto memory = [&](const char* context) {
    return Json::parse(OutputOf({"info", "--config", config, "--json", "--context", context}))["memory"];
  };
  const Json small = memory("1024"), large = memory("2048");
  const auto difference = [&](const char* form) {
    return large["serve"][form]["cache"].get<int64_t>() - small["serve"][form]["cache"].get<int64_t>();
  };
  EXPECT_EQ(difference("absorbed"), int64_t{1024} * 61 * (512 + 64) * 4);
  EXPECT_EQ(difference("expanded"), int64_t{1024} * 61 * 128 * (192 + 128) * 4);
  EXPECT_GT(large["train"]["activations"], small["train"]["activations"]);
  EXPECT_GT(large["train"]["weights"], 4 * 671'026'419'200);
}

TEST_F(InfoTest, TheTextGroupsDigits) {
  EXPECT_MENTIONS(OutputOf({"info", "--config", Write("config.json", kV3Json)}), " 671,026,419,200\n");
}

TEST_F(InfoTest, WhatItCannotDescribeIsSaid) {
  EXPECT_MENTIONS(MessageOf(2, {"info"}), "either a model folder or --config");
  EXPECT_MENTIONS(MessageOf(2, {"info", folder_.path(), "--config", "x"}), "either a model folder or --config");
  EXPECT_MENTIONS(MessageOf(3, {"info", "--config", folder_ / "gone.json"}), "gone.json");
  EXPECT_MENTIONS(MessageOf(3, {"info", folder_.path()}), folder_.path().string());
  const std::string broken = Write("broken.json", "{\"model_type\": \"deepseek_v3\",");
  EXPECT_MENTIONS(MessageOf(3, {"info", "--config", broken}), broken);
  const std::string other = Write("other.json", "{\"model_type\": \"mistral\"}");
  EXPECT_MENTIONS(MessageOf(2, {"info", "--config", other}), "mistral");
}

}  // namespace
}  // namespace sputnik
