#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel/backend.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

class OptimizerTest : public testing::Test {
 protected:
  OptimizerTest() : params_(config_, DType::kF32, true) { params_.Initialise(config_, 3); }

  void FillGradients(uint64_t seed) {
    params_.ClearGradients();
    Random random(seed, kStreamTest);
    for (const Param& param : params_.list()) {
      for (float& g : params_.Gradient(param).span<float>()) g = static_cast<float>(random.Normal());
    }
  }
  std::vector<std::vector<float>> Values() const {
    std::vector<std::vector<float>> values;
    for (const Param& param : params_.list()) {
      const std::span<float> span = param.tensor.span<float>();
      values.emplace_back(span.begin(), span.end());
    }
    return values;
  }

  ThreadPool pool_{1};
  Machine machine_{KernelsFor("cpu"), pool_};
  ModelConfig config_ = TinyConfig();
  Params params_;
};

// Loshchilov and Hutter 2019, algorithm 2, in a double loop: decay beside the gradient, both moments corrected for
// their start at zero, gains not decayed.
TEST_F(OptimizerTest, AdamWIsTheAlgorithmOfThePaper) {
  const OptimizerConfig config{.optimizer = "adamw", .weight_decay = 0.3, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3};
  Optimizer optimizer(params_, config);
  const auto start = Values();
  std::vector<std::vector<double>> weight, first, second;
  for (const auto& values : start) {
    weight.emplace_back(values.begin(), values.end());
    first.emplace_back(values.size(), 0);
    second.emplace_back(values.size(), 0);
  }
  for (int step = 1; step <= 4; ++step) {
    FillGradients(static_cast<uint64_t>(step));
    const double lr = 0.05 / step;
    for (size_t p = 0; p < weight.size(); ++p) {
      const Param& param = params_.list()[p];
      if (param.spec.role == ParamRole::kRouterBias) continue;
      const double decay = param.spec.role == ParamRole::kGain ? 0 : 0.3;
      const std::span<float> gradient = params_.Gradient(param).span<float>();
      for (size_t i = 0; i < weight[p].size(); ++i) {
        const double g = 0.5 * static_cast<double>(gradient[i]);
        first[p][i] = 0.8 * first[p][i] + 0.2 * g;
        second[p][i] = 0.9 * second[p][i] + 0.1 * g * g;
        const double m = first[p][i] / (1 - std::pow(0.8, step)), v = second[p][i] / (1 - std::pow(0.9, step));
        weight[p][i] -= lr * (m / (std::sqrt(v) + 1e-3) + decay * weight[p][i]);
      }
    }
    optimizer.Step(machine_, lr, 0.5);
  }
  EXPECT_EQ(optimizer.steps(), 4);
  const auto now = Values();
  for (size_t p = 0; p < weight.size(); ++p) {
    for (size_t i = 0; i < weight[p].size(); ++i) {
      ASSERT_NEAR(static_cast<double>(now[p][i]), weight[p][i], 2e-6) << params_.list()[p].spec.name << " " << i;
    }
  }
}

// Every hidden matrix, each expert's own among them, is orthogonalised by itself: as if it were updated alone.
TEST_F(OptimizerTest, MuonTakesEachMatrixByItself) {
  const OptimizerConfig config{.weight_decay = 0.1, .momentum = 0.9};
  Optimizer optimizer(params_, config);
  FillGradients(1);
  const auto start = Values();
  optimizer.Step(machine_, 0.02, 1);
  const auto now = Values();
  int matrices = 0, experts = 0;
  for (size_t p = 0; p < start.size(); ++p) {
    const Param& param = params_.list()[p];
    if (param.spec.role != ParamRole::kMatrix) continue;
    std::vector<float> alone = start[p], momentum(start[p].size(), 0.f);
    const MuonMatrix matrix{alone.data(), params_.Gradient(param).data(), momentum.data(), param.spec.shape[0],
                            param.spec.shape[1]};
    MuonUpdate(machine_, {.lr = 0.02, .momentum = 0.9, .weight_decay = 0.1}, 1, DType::kF32, {&matrix, 1});
    EXPECT_EQ(now[p], alone) << param.spec.name;
    EXPECT_NE(now[p], start[p]) << param.spec.name;
    ++matrices;
    experts += param.spec.routed_expert;
  }
  EXPECT_GT(matrices, experts);
  EXPECT_EQ(experts, 2 * 8 * 3);
}

TEST_F(OptimizerTest, BiasesAreNotDecayed) {
  const ModelConfig config = TinyFamily("llama");
  Params params(config, DType::kF32, true);
  for (Param& param : params.list()) std::ranges::fill(param.tensor.span<float>(), 1.f);
  Optimizer(params, {.weight_decay = 0.5}).Step(machine_, 0.1, 1);  // gradients are zero: only decay can move them
  for (const Param& param : params.list()) {
    const bool vector = param.spec.role == ParamRole::kBias || param.spec.role == ParamRole::kGain;
    for (const float value : param.tensor.span<float>()) ASSERT_EQ(value == 1, vector) << param.spec.name;
  }
}

TEST_F(OptimizerTest, WithMuonTheRestGoesByAdamWAtItsOwnRate) {
  Optimizer muon(params_, {.adamw_lr_scale = 0.25});
  FillGradients(1);
  const auto start = Values();
  muon.Step(machine_, 0.04, 1);
  const auto by_muon = Values();
  params_.Initialise(config_, 3);
  Optimizer adamw(params_, {.optimizer = "adamw"});
  adamw.Step(machine_, 0.01, 1);
  const auto by_adamw = Values();
  for (size_t p = 0; p < start.size(); ++p) {
    const ParamSpec& spec = params_.list()[p].spec;
    if (spec.role == ParamRole::kRouterBias) {
      EXPECT_EQ(by_muon[p], start[p]) << spec.name;
    } else {
      EXPECT_EQ(by_muon[p] == by_adamw[p], spec.role != ParamRole::kMatrix) << spec.name;
    }
  }
}

TEST_F(OptimizerTest, NormIsOverAllGradientsAndNamesWhatIsNotFinite) {
  const Optimizer optimizer(params_, {});
  FillGradients(2);
  double squares = 0;
  for (const Param& param : params_.list()) {
    if (param.spec.role == ParamRole::kRouterBias) continue;
    for (const float g : params_.Gradient(param).span<float>())
      squares += static_cast<double>(g) * static_cast<double>(g);
  }
  std::string culprit;
  EXPECT_NEAR(optimizer.GradientNorm(machine_, &culprit), std::sqrt(squares), 1e-5 * std::sqrt(squares));
  EXPECT_EQ(culprit, "");
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    FillGradients(2);
    params_.Gradient(params_.list()[7]).span<float>().back() = bad;
    culprit.clear();
    EXPECT_FALSE(std::isfinite(optimizer.GradientNorm(machine_, &culprit)));
    EXPECT_EQ(culprit, params_.list()[7].spec.name);
  }
}

TEST_F(OptimizerTest, GoesOnFromItsFileAsIfNothingHadHappened) {
  for (const char* name : {"muon", "adamw"}) {
    const TemporaryFolder folder;
    params_.Initialise(config_, 3);
    Optimizer optimizer(params_, {.optimizer = name}), other(params_, {.optimizer = name});
    for (uint64_t step = 0; step < 3; ++step) {
      FillGradients(step);
      optimizer.Step(machine_, 0.01, 1);
    }
    optimizer.Save(folder / "o.safetensors");
    const auto middle = Values();
    FillGradients(9);
    optimizer.Step(machine_, 0.01, 1);
    const auto expected = Values();
    for (size_t p = 0; p < middle.size(); ++p) {
      std::copy(middle[p].begin(), middle[p].end(), params_.list()[p].tensor.span<float>().begin());
    }
    other.Load(folder / "o.safetensors");
    EXPECT_EQ(other.steps(), 3);
    other.Step(machine_, 0.01, 1);
    EXPECT_EQ(Values(), expected) << name;
  }
}

TEST_F(OptimizerTest, ResetForgetsEverything) {
  Optimizer optimizer(params_, {});
  FillGradients(1);
  optimizer.Step(machine_, 0.01, 1);
  optimizer.Reset();
  EXPECT_EQ(optimizer.steps(), 0);
  params_.Initialise(config_, 3);
  optimizer.Step(machine_, 0.01, 1);
  const auto after_reset = Values();
  params_.Initialise(config_, 3);
  Optimizer fresh(params_, {});
  fresh.Step(machine_, 0.01, 1);
  EXPECT_EQ(Values(), after_reset);
}

TEST_F(OptimizerTest, AnotherModelsOrOptimizersStateIsRefused) {
  const TemporaryFolder folder;
  Optimizer optimizer(params_, {});
  optimizer.Save(folder / "muon.safetensors");
  Optimizer adamw(params_, {.optimizer = "adamw"});
  std::string message = ExpectError(ExitCode::kBadInput, [&] { adamw.Load(folder / "muon.safetensors"); });
  EXPECT_MENTIONS(message, "muon.safetensors");
  ModelConfig wider = config_;
  wider.moe_intermediate_size += 2;
  Params other(wider, DType::kF32, true);
  Optimizer of_other(other, {});
  message = ExpectError(ExitCode::kBadInput, [&] { of_other.Load(folder / "muon.safetensors"); });
  EXPECT_MENTIONS(message, "mlp");
}

}  // namespace
}  // namespace sputnik
