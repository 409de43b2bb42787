// Adapters' folders, and the adapters themselves against PEFT: results in tests/golden/lora, made by
// tools/lora_oracle.py, whose `parity` command gives its own by the environment variable SPUTNIK_LORA_PARITY and reads
// back what is written beside them.
#include "model/adapter_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "tests/support/adapters.h"
#include "tests/support/cached_forward.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/machines.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> LoraFolders() {
  const char* more = std::getenv("SPUTNIK_LORA_PARITY");
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(more != nullptr ? fs::path(more) : GoldenFolder() / "lora")) {
    if (fs::exists(entry.path() / "golden.safetensors")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string Bytes(const Params& params) {
  std::string bytes;
  for (const Param& param : params.list()) {
    bytes.append(static_cast<const char*>(param.tensor.data()),
                 static_cast<size_t>(param.spec.elements() * SizeOf(param.tensor.dtype())));
  }
  return bytes;
}

class LoraParity : public testing::TestWithParam<std::tuple<fs::path, std::string>> {
 protected:
  fs::path folder_ = std::get<0>(GetParam());
  fs::path base_ = GoldenFolder() / "model" /
                   ReadJsonFile(folder_ / "adapter_config.json")["base_model_name_or_path"].get<std::string>();
  SafetensorsFile golden_{folder_ / "golden.safetensors"};
  std::unique_ptr<Decoder> decoder_ = LoadAdapted(base_, folder_, true);
  ThreadPool pool_{2};
  Machine machine_{KernelsFor(std::get<1>(GetParam())), pool_};
  Arena arena_;
};

TEST_P(LoraParity, LogitsAndEveryGradientEqualPefts) {
  Batch batch;
  batch.ids = StoredValues<int32_t>(golden_, "input_ids");
  batch.positions = StoredValues<int32_t>(golden_, "position_ids");
  const int64_t sequences = golden_.tensors().at("input_ids").shape[0],
                length = golden_.tensors().at("input_ids").shape[1];
  for (int64_t i = 0; i < sequences * length; ++i) {
    if (i % length == 0) batch.sequence_start.push_back(static_cast<int32_t>(i));
    batch.targets.push_back((i + 1) % length == 0 ? -1 : batch.ids[static_cast<size_t>(i + 1)]);
  }
  batch.sequence_start.push_back(static_cast<int32_t>(sequences * length));
  Tape tape(arena_);
  Pass pass(machine_, arena_, &tape), silent(machine_, arena_);
  const Tensor hidden = decoder_->Forward(pass, batch).hidden;
  const std::vector<float> expected = StoredValues<float>(golden_, "logits");
  const Tensor logits = Logits(silent, hidden.Detached(), decoder_->head());
  EXPECT_LE(LargestDifference(logits.span<float>(), expected), 2e-5 * LargestOf(expected));

  const LogProbs probs = decoder_->TargetLogProbs(pass, hidden, batch.targets);
  const auto count = static_cast<double>(probs.logprob.size(0));
  double loss = 0;
  for (const float logprob : probs.logprob.span<float>()) loss -= static_cast<double>(logprob) / count;
  EXPECT_NEAR(loss, static_cast<double>(StoredValues<float>(golden_, "loss")[0]), 1e-5);
  for (float& seed : probs.logprob.Gradient(arena_).span<float>()) seed = static_cast<float>(-1 / count);
  tape.Backward();
  EXPECT_FALSE(decoder_->params().has_gradients());
  const Params& learnt = decoder_->trained();
  int64_t compared = 0;
  for (const Param& param : learnt.list()) {
    const std::vector<float> gradient = StoredValues<float>(golden_, "grad." + param.spec.name);
    EXPECT_LE(Distance(learnt.Gradient(param).span<float>(), gradient), 1e-4 * NormOf(gradient) + 1e-9)
        << param.spec.name;
    ++compared;
  }
  EXPECT_EQ(std::count_if(golden_.tensors().begin(), golden_.tensors().end(),
                          [](const auto& entry) { return entry.first.starts_with("grad."); }),
            compared);
}

TEST_P(LoraParity, WhatIsWrittenIsWhatWasRead) {
  const TemporaryFolder temporary;
  const fs::path target = std::getenv("SPUTNIK_LORA_PARITY") != nullptr ? folder_ / "written" : temporary.path();
  fs::create_directories(target);
  SaveAdapter(target, *decoder_->adapter());
  const SafetensorsFile read(folder_ / "adapter_model.safetensors"), written(target / "adapter_model.safetensors");
  ASSERT_EQ(read.tensors().size(), written.tensors().size());
  for (const auto& [name, tensor] : read.tensors()) {
    EXPECT_EQ(tensor.shape, written.tensors().at(name).shape) << name;
    EXPECT_TRUE(std::ranges::equal(tensor.data, written.tensors().at(name).data)) << name;
  }
  const Json mine = ReadJsonFile(target / "adapter_config.json"),
             theirs = ReadJsonFile(folder_ / "adapter_config.json");
  for (const char* key : {"r", "lora_alpha", "use_rslora", "peft_type", "bias", "target_modules"}) {
    EXPECT_EQ(mine[key], theirs[key]) << key;
  }
  EXPECT_EQ(AdapterBase(target), fs::absolute(base_));
  EXPECT_EQ(Bytes(LoadForward(target)->adapter()->params()), Bytes(decoder_->adapter()->params()));
}

INSTANTIATE_TEST_SUITE_P(Peft, LoraParity,
                         testing::Combine(testing::ValuesIn(LoraFolders()), testing::ValuesIn(AvailableMachines())),
                         [](const auto& instance) {
                           return std::get<0>(instance.param).filename().string() + "_" + std::get<1>(instance.param);
                         });

// A tiny model on the disk, bfloat16, and an adapter of it.
class AdapterFile : public testing::Test {
 protected:
  AdapterFile() {
    fs::create_directories(base_);
    fs::create_directories(adapter_);
    Decoder decoder(config_, DType::kF32, false);
    decoder.params().Initialise(config_, 1);
    SaveModel(base_, decoder, {.dtype = DType::kBF16});
    const auto adapter = RandomAdapter<float>(config_, {.rank = 3, .alpha = 6, .targets = {"all-linear"}}, false);
    adapter->SetBase(base_);
    SaveAdapter(adapter_, *adapter);
  }
  static ModelConfig Config() {
    ModelConfig config = TinyConfig();
    config.num_nextn_predict_layers = 0;
    return config;
  }
  // Of an adapter's folder whose config, or whose tensors, were changed.
  std::string Refusal() {
    return ExpectError(ExitCode::kBadInput, [&] { LoadAdapter(adapter_, config_, DType::kF32, false); });
  }
  std::string RefusalWith(const std::string& key, const Json& value) {
    const std::string before = ReadFile(adapter_ / "adapter_config.json");
    Json json = Json::parse(before);
    json[key] = value;
    WriteFileAtomically(adapter_ / "adapter_config.json", json.dump());
    std::string message = Refusal();
    WriteFileAtomically(adapter_ / "adapter_config.json", before);
    return message;
  }
  std::string RefusalAfter(const std::function<void(std::vector<TensorToStore>&)>& change) {
    const std::string before = ReadFile(adapter_ / "adapter_model.safetensors");
    std::string message;
    {
      const SafetensorsFile file(adapter_ / "adapter_model.safetensors");
      std::vector<TensorToStore> tensors;
      for (const auto& [name, t] : file.tensors()) tensors.push_back({name, t.dtype, t.shape, t.data});
      change(tensors);
      WriteSafetensors(adapter_ / "adapter_model.safetensors", tensors);
    }
    message = Refusal();
    WriteFileAtomically(adapter_ / "adapter_model.safetensors", before);
    return message;
  }

  ModelConfig config_ = Config();
  TemporaryFolder folder_;
  fs::path base_ = folder_ / "base", adapter_ = folder_ / "adapter";
  ThreadPool pool_{1};
  Machine machine_{KernelsFor("cpu"), pool_};
  Arena arena_;
};

// Frozen weights stay in their file, as bfloat16, and what is computed and learnt is what float32 copies would give.
TEST_F(AdapterFile, TheBaseIsUsedWhereItLies) {
  const std::unique_ptr<Decoder> mapped = LoadAdapted(base_, adapter_, true);
  EXPECT_EQ(mapped->params().Get("model.layers.0.self_attn.kv_b_proj.weight").dtype(), DType::kBF16);
  EXPECT_EQ(mapped->params().Get("model.embed_tokens.weight").dtype(), DType::kBF16);
  EXPECT_FALSE(mapped->params().has_gradients());
  Decoder widened(mapped->config(), DType::kF32, false);
  LoadWeights(base_, widened);
  widened.SetAdapter(LoadAdapter(adapter_, mapped->config(), DType::kF32, true));
  const Batch batch = RandomBatch(config_, {9, 5}, 3);
  std::vector<float> gradients[2];
  for (Decoder* decoder : {mapped.get(), &widened}) {
    Tape tape(arena_);
    Pass pass(machine_, arena_, &tape);
    const LogProbs probs = decoder->TargetLogProbs(pass, decoder->Forward(pass, batch).hidden, batch.targets);
    std::ranges::fill(probs.logprob.Gradient(arena_).span<float>(), 1.f);
    tape.Backward();
    for (const Param& param : decoder->trained().list()) {
      const auto gradient = decoder->trained().Gradient(param).span<float>();
      auto& all = gradients[decoder == &widened];
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_GT(LargestOf(gradients[0]), 0);
}

TEST_F(AdapterFile, MergedIntoItsModelItGivesTheSame) {
  const fs::path merged = folder_ / "merged";
  fs::create_directories(merged);
  const auto adapted = LoadForward(adapter_);
  ConvertModel(StoredModel(base_), merged, DType::kF32, int64_t{1} << 30, {}, adapted->adapter());
  const Batch batch = RandomBatch(config_, {9, 5}, 3);
  const auto expected = FullForward<float>(*adapted, machine_, arena_, batch);
  const auto plain = FullForward<float>(*LoadModel(base_, false), machine_, arena_, batch);
  const auto actual = FullForward<float>(*LoadModel(merged, false), machine_, arena_, batch);
  EXPECT_LE(LargestDifference(actual, expected), 2e-5 * LargestOf(expected));
  EXPECT_GE(LargestDifference(plain, expected), 0.1 * LargestOf(expected));
}

TEST_F(AdapterFile, OptionsThatAreNotSupportedAreRefusedByName) {
  EXPECT_MENTIONS(RefusalWith("use_dora", true), "`use_dora`");
  EXPECT_MENTIONS(RefusalWith("modules_to_save", {"lm_head"}), "`modules_to_save`");
  EXPECT_MENTIONS(RefusalWith("bias", "lora_only"), "`bias`");
  EXPECT_MENTIONS(RefusalWith("rank_pattern", {{"q_proj", 4}}), "`rank_pattern`");
  EXPECT_MENTIONS(RefusalWith("alpha_pattern", {{"q_proj", 4}}), "`alpha_pattern`");
  EXPECT_MENTIONS(RefusalWith("target_parameters", {"experts.gate_up_proj"}), "`target_parameters`");
  EXPECT_MENTIONS(RefusalWith("fan_in_fan_out", true), "`fan_in_fan_out`");
  EXPECT_MENTIONS(RefusalWith("init_lora_weights", "pissa"), "`init_lora_weights`");
  EXPECT_MENTIONS(RefusalWith("peft_type", "IA3"), "`peft_type`");
  EXPECT_MENTIONS(RefusalWith("something_of_tomorrow", 3), "`something_of_tomorrow`");
  EXPECT_MENTIONS(RefusalWith("r", 0), "`r`");
  EXPECT_MENTIONS(RefusalWith("r", -2), "`r`");
  EXPECT_MENTIONS(RefusalWith("lora_alpha", "much"), "`lora_alpha`");
}

TEST_F(AdapterFile, TensorsThatDoNotFitAreRefusedByName) {
  const auto named = [](std::vector<TensorToStore>& tensors, const std::string& end) {
    return std::ranges::find_if(tensors, [&](const auto& t) { return t.name.ends_with(end); });
  };
  const std::string a = "layers.1.self_attn.o_proj.lora_A.weight", b = "layers.1.self_attn.o_proj.lora_B.weight";
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) { tensors.erase(named(tensors, a)); }), a);
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) { tensors.erase(named(tensors, b)); }), b);
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) {
                    tensors.erase(named(tensors, a));
                    tensors.erase(named(tensors, b));
                  }),
                  a);
  EXPECT_MENTIONS(
      RefusalAfter([&](auto& tensors) { std::swap(named(tensors, a)->shape[0], named(tensors, a)->shape[1]); }),
      "has shape");
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) { named(tensors, a)->dtype = DType::kI32; }), "I32");
  const std::string stranger = "base_model.model.model.layers.7.self_attn.o_proj";
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) {
                    tensors.push_back({stranger + ".lora_A.weight", DType::kF32, {0}, {}});
                    tensors.push_back({stranger + ".lora_B.weight", DType::kF32, {0}, {}});
                  }),
                  "layers.7.self_attn.o_proj");
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) { named(tensors, a)->name = "lm_head.weight"; }), "lm_head.weight");
  EXPECT_MENTIONS(RefusalAfter([&](auto& tensors) { tensors.clear(); }), "no tensors");
}

TEST_F(AdapterFile, AFolderWithoutItsPartsIsRefused) {
  fs::rename(base_, folder_ / "moved");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { LoadForward(adapter_); }), "--adapter");
  EXPECT_NO_THROW(LoadAdapted(folder_ / "moved", adapter_, false));
  fs::remove(adapter_ / "adapter_model.safetensors");
  EXPECT_MENTIONS(Refusal(), "adapter_model.safetensors");
  fs::remove(adapter_ / "adapter_config.json");
  EXPECT_FALSE(IsAdapterFolder(adapter_));
  EXPECT_MENTIONS(Refusal(), "adapter_config.json");
}

}  // namespace
}  // namespace sputnik
