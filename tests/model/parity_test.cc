// The model against transformers: folders and results in tests/golden/model, made by tools/model_oracle.py. Its
// `parity` command gives more of them, in the folder that the environment variable SPUTNIK_PARITY names, and reads back
// what is written beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <span>
#include <tuple>

#include "base/file.h"
#include "model/checkpoint.h"
#include "tests/support/golden.h"
#include "tests/support/machines.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// Folders with a golden.safetensors.
std::vector<fs::path> Folders() {
  const char* more = std::getenv("SPUTNIK_PARITY");
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(more != nullptr ? fs::path(more) : GoldenFolder() / "model")) {
    if (fs::exists(entry.path() / "golden.safetensors")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

Batch ReadBatch(const SafetensorsFile& golden) {
  Batch batch;
  batch.ids = StoredValues<int32_t>(golden, "input_ids");
  batch.positions = StoredValues<int32_t>(golden, "position_ids");
  const int64_t sequences = golden.tensors().at("input_ids").shape[0],
                length = golden.tensors().at("input_ids").shape[1];
  const auto count = static_cast<float>(sequences * (length - 1));
  for (int64_t s = 0; s < sequences; ++s) {
    batch.sequence_start.push_back(static_cast<int32_t>(s * length));
    for (int64_t i = 0; i < length; ++i) {
      const bool last = i + 1 == length;
      batch.targets.push_back(last ? -1 : batch.ids[static_cast<size_t>(s * length + i + 1)]);
      batch.weights.push_back(last ? 0.f : 1 / count);
    }
  }
  batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
  return batch;
}

// factor · mean of -logprob over the targets, and its seeds.
double CrossEntropy(Pass& pass, const Decoder& decoder, const Tensor& hidden, const std::vector<int32_t>& targets,
                    double factor) {
  const LogProbs probs = decoder.TargetLogProbs(pass, hidden, targets);
  const auto count = static_cast<double>(probs.logprob.size(0));
  double loss = 0;
  for (const float logprob : probs.logprob.span<float>()) loss -= static_cast<double>(logprob) / count;
  for (float& seed : probs.logprob.Gradient(pass.arena).span<float>()) seed = static_cast<float>(-factor / count);
  return loss;
}

class ParityTest : public testing::TestWithParam<std::tuple<fs::path, std::string>> {
 protected:
  ParityTest()
      : folder_(std::get<0>(GetParam())),
        golden_(folder_ / "golden.safetensors"),
        decoder_(LoadModel(folder_, true)),
        batch_(ReadBatch(golden_)) {}

  void CompareLogits(Pass& pass, const Tensor& hidden, const std::string& name) {
    const Tensor logits = Logits(pass, hidden, decoder_->head());
    const std::vector<float> expected = StoredValues<float>(golden_, name);
    const std::span<const float> actual = logits.span<float>();
    EXPECT_LE(LargestDifference(actual, expected), 2e-5 * LargestOf(expected)) << name;
    const int64_t vocabulary = logits.size(1);
    for (int64_t row = 0; row < logits.size(0); ++row) {
      const auto best = [&](const auto& values) {
        const auto begin = values.begin() + row * vocabulary;
        return std::max_element(begin, begin + vocabulary) - begin;
      };
      EXPECT_EQ(best(actual), best(expected)) << name << " row " << row;
    }
  }

  fs::path folder_;
  SafetensorsFile golden_;
  std::unique_ptr<Decoder> decoder_;
  Batch batch_;
  ThreadPool pool_{2};
  Machine machine_{KernelsFor(std::get<1>(GetParam())), pool_};
  Arena arena_;
};

TEST_P(ParityTest, LogitsEqualTransformers) {
  Pass pass(machine_, arena_);
  CompareLogits(pass, decoder_->Forward(pass, batch_).hidden, "logits");
}

TEST_P(ParityTest, MtpLogitsEqualTransformers) {
  if (decoder_->config().num_nextn_predict_layers == 0) return;
  Pass pass(machine_, arena_);
  const Tensor hidden = decoder_->Forward(pass, batch_, {.mtp = true}).mtp_hidden[0];
  // The golden has no row for the last token of a sequence, which has no next token to look at.
  std::vector<int32_t> rows;
  for (size_t s = 0; s + 1 < batch_.sequence_start.size(); ++s) {
    for (int32_t i = batch_.sequence_start[s]; i + 1 < batch_.sequence_start[s + 1]; ++i) rows.push_back(i);
  }
  const Tensor kept = Tensor::New(arena_, DType::kF32, {static_cast<int64_t>(rows.size()), hidden.size(1)});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(hidden.as<float>() + rows[i] * hidden.size(1), hidden.size(1),
                kept.as<float>() + static_cast<int64_t>(i) * hidden.size(1));
  }
  CompareLogits(pass, kept, "mtp_logits");
}

TEST_P(ParityTest, LossAndEveryGradientEqualTorch) {
  Tape tape(arena_);
  Pass pass(machine_, arena_, &tape);
  const bool mtp = decoder_->config().num_nextn_predict_layers > 0;
  const ForwardResult out = decoder_->Forward(pass, batch_, {.mtp = mtp});
  const double loss = CrossEntropy(pass, *decoder_, out.hidden, batch_.targets, 1);
  EXPECT_NEAR(loss, static_cast<double>(StoredValues<float>(golden_, "loss")[0]), 1e-5);
  if (mtp) {
    const double mtp_loss = CrossEntropy(pass, *decoder_, out.mtp_hidden[0], ShiftTargets(batch_, 1).targets, 0.3);
    EXPECT_NEAR(mtp_loss, static_cast<double>(StoredValues<float>(golden_, "mtp_loss")[0]), 1e-5);
  }
  tape.Backward();
  size_t compared = 0;
  for (const Param& param : decoder_->params().list()) {
    if (param.spec.role == ParamRole::kRouterBias) continue;
    const std::vector<float> expected = StoredValues<float>(golden_, "grad." + param.spec.name);
    const Tensor gradient = decoder_->params().Gradient(param);
    EXPECT_LE(Distance(gradient.span<float>(), expected), 1e-4 * NormOf(expected) + 1e-9) << param.spec.name;
    ++compared;
  }
  const auto stored = std::count_if(golden_.tensors().begin(), golden_.tensors().end(),
                                    [](const auto& entry) { return entry.first.starts_with("grad."); });
  EXPECT_EQ(static_cast<int64_t>(compared), stored);
}

// Token by token with a cache, as transformers decodes without one.
TEST_P(ParityTest, GreedyDecodingEqualsTransformers) {
  const std::vector<int32_t> expected = StoredValues<int32_t>(golden_, "greedy");
  const auto prompt = static_cast<size_t>(StoredValues<int32_t>(golden_, "prompt_length")[0]);
  const auto pages = (static_cast<int64_t>(expected.size()) + kKeyBlock - 1) / kKeyBlock;
  KvCache cache(decoder_->config(), AttentionForm::kExpanded, DType::kF32, pages);
  std::vector<int32_t> ids(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(prompt));
  for (size_t done = 0; ids.size() < expected.size();) {
    Batch batch;
    batch.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(done), ids.end());
    for (size_t i = done; i < ids.size(); ++i) batch.positions.push_back(static_cast<int32_t>(i));
    batch.sequence_start = {0, static_cast<int32_t>(batch.ids.size())};
    batch.context = {static_cast<int32_t>(done)};
    for (int64_t page = pages; page > 0; --page) batch.block_table.push_back(static_cast<int32_t>(page - 1));
    batch.block_start = {0, static_cast<int32_t>(pages)};
    done = ids.size();
    const ArenaScope scope(arena_);
    Pass pass(machine_, arena_);
    const Tensor hidden = decoder_->Forward(pass, batch, {.cache = &cache}).hidden;
    const auto logits = Logits(pass, hidden.Slice(0, hidden.size(0) - 1, 1), decoder_->head()).span<float>();
    ids.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  EXPECT_EQ(ids, expected);
}

INSTANTIATE_TEST_SUITE_P(Parity, ParityTest,
                         testing::Combine(testing::ValuesIn(Folders()), testing::ValuesIn(AvailableMachines())),
                         [](const auto& instance) {
                           return std::get<0>(instance.param).filename().string() + "_" + std::get<1>(instance.param);
                         });

class FolderParityTest : public testing::TestWithParam<fs::path> {};

// Every tensor of a folder, by name: type on disk and bytes.
std::map<std::string, std::pair<DType, std::string>> TensorsOf(const fs::path& folder) {
  std::map<std::string, std::pair<DType, std::string>> tensors;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("model") || entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    for (const auto& [name, tensor] : file.tensors()) {
      const std::string bytes(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
      tensors[name] = {tensor.dtype, bytes};
    }
  }
  return tensors;
}

std::string Widened(const std::string& bf16) {
  std::string f32(2 * bf16.size(), '\0');
  for (size_t i = 0; i < bf16.size() / 2; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, bf16.data() + 2 * i, 2);
    const float value = FloatFromBF16(half);
    std::memcpy(f32.data() + 4 * i, &value, 4);
  }
  return f32;
}

TEST_P(FolderParityTest, WrittenAgainTensorsHaveTheSameBytes) {
  const fs::path source = GetParam();
  const TemporaryFolder temporary;
  const fs::path target = std::getenv("SPUTNIK_PARITY") != nullptr ? source / "written" : temporary.path();
  fs::create_directories(target);
  SaveModel(target, *LoadModel(source, false));
  const auto read = TensorsOf(source), written = TensorsOf(target);
  for (const auto& [name, tensor] : written) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(read.contains(name));
    const auto& [dtype, bytes] = read.at(name);
    const bool widened = dtype == DType::kBF16 && tensor.first == DType::kF32;
    EXPECT_EQ(tensor.second == (widened ? Widened(bytes) : bytes), true);
  }
  for (const auto& [name, tensor] : read) {
    // The MTP module's copies of embedding and head are the main model's.
    const bool copy = name.ends_with("shared_head.head.weight") ||
                      (name.starts_with("model.layers.") && name.ends_with("embed_tokens.weight"));
    EXPECT_EQ(written.contains(name), !copy) << name;
  }
}

TEST_P(FolderParityTest, WrittenConfigSaysTheSame) {
  const ModelConfig config = ReadModelConfig(GetParam() / "config.json");
  const TemporaryFolder temporary;
  WriteFileAtomically(temporary / "config.json", WriteModelConfig(config));
  EXPECT_EQ(WriteModelConfig(ReadModelConfig(temporary / "config.json")), WriteModelConfig(config));
}

INSTANTIATE_TEST_SUITE_P(Parity, FolderParityTest, testing::ValuesIn(Folders()),
                         [](const auto& instance) { return instance.param.filename().string(); });

}  // namespace
}  // namespace sputnik
