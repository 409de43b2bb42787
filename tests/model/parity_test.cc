// The model against transformers: folders and results in tests/golden/model, made by tools/model_oracle.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <tuple>

#include "model/checkpoint.h"
#include "tests/support/golden.h"
#include "tests/support/machines.h"

namespace sputnik {
namespace {

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

class ParityTest : public testing::TestWithParam<std::tuple<const char*, std::string>> {
 protected:
  ParityTest()
      : folder_(GoldenFolder() / "model" / std::get<0>(GetParam())),
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

  std::filesystem::path folder_;
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

INSTANTIATE_TEST_SUITE_P(Golden, ParityTest,
                         testing::Combine(testing::Values("v3_groups", "v3_yarn_sharded", "v3_bf16", "v3_tied",
                                                          "v3_mtp", "v2_greedy", "v2_groups_bf16_sharded"),
                                          testing::ValuesIn(AvailableMachines())),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) + "_" + std::get<1>(instance.param);
                         });

}  // namespace
}  // namespace sputnik
