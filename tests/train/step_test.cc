#include "train/step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "kernel/backend.h"
#include "tests/support/adapters.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

constexpr int64_t kArena = int64_t{1} << 28;

class StepTest : public testing::Test {
 protected:
  StepTest() { Start(); }
  void Start(OptimizerConfig optimizer = {.lr = 0}) {
    decoder_ = std::make_unique<Decoder>(config_, DType::kF32, true);
    decoder_->params().Initialise(config_, 5);
    trainer_ = std::make_unique<Trainer>(*decoder_, machine_, optimizer, kArena);
  }
  static Objective NextToken(double total_weight) {
    return [total_weight](const ObjectiveInput& input, std::span<float> seeds) {
      return CrossEntropy(input.rows, input.batch.weights, input.logprobs, total_weight, seeds);
    };
  }
  StepResult Step(const std::vector<Batch>& batches,
                  StepOptions options = {.lr = 0.01, .mtp_weight = 0.3, .bias_update_rate = 0.01}) {
    return trainer_->Step(batches, NextToken(TotalWeight(batches)), options);
  }
  // Weights with biases, moments, and the count of steps, as bytes of files.
  std::string State() const {
    std::string bytes;
    for (const Param& param : decoder_->params().list()) {
      bytes.append(static_cast<const char*>(param.tensor.data()), static_cast<size_t>(param.tensor.elements()) * 4);
    }
    const TemporaryFolder folder;
    trainer_->optimizer().Save(folder / "o");
    return bytes + ReadFile(folder / "o");
  }
  std::vector<float> Gradients() const {
    std::vector<float> all;
    for (const Param& param : decoder_->params().list()) {
      const std::span<float> g = decoder_->params().Gradient(param).span<float>();
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  }

  ThreadPool pool_{1};
  Machine machine_{KernelsFor("cpu"), pool_};
  ModelConfig config_ = TinyConfig();
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(StepTest, LearnsABatchByHeart) {
  Start({.optimizer = "adamw"});
  const std::vector<Batch> batches = {RandomBatch(config_, {20, 12}, 1)};
  const double first = Step(batches).loss;
  double last = first;
  for (int i = 0; i < 60; ++i) last = Step(batches).loss;
  EXPECT_GT(first, 3);
  EXPECT_LT(last, 0.5 * first);
}

TEST_F(StepTest, BesideAnAdapterAllElseIsFrozen) {
  decoder_ = std::make_unique<Decoder>(config_, DType::kF32, false);
  decoder_->params().Initialise(config_, 5);
  auto adapter = std::make_unique<Adapter>(AdapterConfig{.rank = 4, .alpha = 8}, FindModules(config_, {"all-linear"}),
                                           DType::kF32, true);
  adapter->Initialise(3);
  decoder_->SetAdapter(std::move(adapter));
  trainer_ = std::make_unique<Trainer>(*decoder_, machine_, OptimizerConfig{.optimizer = "adamw"}, kArena);
  const auto weights = [](const Params& params) {
    std::vector<float> all;
    for (const Param& param : params.list()) {
      const std::span<float> values = param.tensor.span<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  const std::vector<float> frozen = weights(decoder_->params()), learnt = weights(decoder_->trained());
  const std::vector<Batch> batches = {RandomBatch(config_, {20, 12}, 1)};
  const double first = Step(batches).loss;
  double last = first;
  for (int i = 0; i < 60; ++i) last = Step(batches).loss;
  EXPECT_LT(last, 0.7 * first);
  EXPECT_EQ(weights(decoder_->params()), frozen);  // routers' biases, too
  EXPECT_NE(weights(decoder_->trained()), learnt);
}

TEST_F(StepTest, CountsTokensTargetsAndLoads) {
  const std::vector<Batch> batches = {RandomBatch(config_, {20, 12}, 1), RandomBatch(config_, {7}, 2)};
  const StepResult result = Step(batches);
  EXPECT_EQ(result.tokens, 39);
  EXPECT_EQ(result.targets, 36);
  ASSERT_EQ(result.loads.size(), 3u);  // two layers and the MTP module
  EXPECT_TRUE(result.loads[0].empty());
  for (const size_t layer : {size_t{1}, size_t{2}}) {
    EXPECT_EQ(std::accumulate(result.loads[layer].begin(), result.loads[layer].end(), int64_t{0}), 39 * 3) << layer;
  }
}

// Parts of different sizes weigh by their tokens, so that the cut into micro-batches does not change what is learnt.
TEST_F(StepTest, MicroBatchesAddUpToTheWholeBatch) {
  config_.aux_loss_alpha = 0.001;
  const Batch a = RandomBatch(config_, {20}, 1), b = RandomBatch(config_, {3, 9}, 2);
  Batch whole = a;
  whole.ids.insert(whole.ids.end(), b.ids.begin(), b.ids.end());
  whole.positions.insert(whole.positions.end(), b.positions.begin(), b.positions.end());
  whole.targets.insert(whole.targets.end(), b.targets.begin(), b.targets.end());
  whole.weights.insert(whole.weights.end(), b.weights.begin(), b.weights.end());
  whole.sequence_start.insert(whole.sequence_start.end(), {23, 32});
  const StepOptions options{.clip = 0, .mtp_weight = 0.3};
  Start();
  const StepResult together = Step({whole}, options);
  const std::vector<float> expected = Gradients();
  Start();
  const StepResult apart = Step({a, b}, options);
  const std::vector<float> gradients = Gradients();
  EXPECT_NEAR(apart.loss, together.loss, 1e-12 * together.loss + 1e-9);
  EXPECT_NEAR(apart.mtp_loss, together.mtp_loss, 1e-9);
  EXPECT_NEAR(apart.balance_loss, together.balance_loss, 0.2 * together.balance_loss) << "per sequence, by tokens";
  EXPECT_EQ(apart.loads, together.loads);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(gradients[i]) - static_cast<double>(expected[i]), 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  EXPECT_LT(std::sqrt(difference), 1e-5 * std::sqrt(norm));
  EXPECT_NEAR(std::sqrt(norm), together.gradient_norm, 1e-5 * together.gradient_norm);
}

TEST_F(StepTest, RecomputationChangesNoBit) {
  const std::vector<Batch> batches = {RandomBatch(config_, {20, 12}, 1), RandomBatch(config_, {7}, 2)};
  StepOptions options{.lr = 0.01, .mtp_weight = 0.3, .bias_update_rate = 0.01};
  const StepResult kept = Step(batches, options);
  const std::vector<float> expected = Gradients();
  const std::string state = State();
  const int64_t kept_bytes = trainer_->arena().high_water();
  Start();
  options.recompute = true;
  const StepResult recomputed = Step(batches, options);
  EXPECT_EQ(Gradients(), expected);
  EXPECT_EQ(State(), state);
  EXPECT_EQ(recomputed.loads, kept.loads) << "a block that runs twice is counted once";
  EXPECT_LT(trainer_->arena().high_water(), kept_bytes);
}

TEST_F(StepTest, ClippingScalesTheGradientToTheLimit) {
  const std::vector<Batch> batches = {RandomBatch(config_, {20}, 1)};
  // With Muon the scale of the gradient is lost, and with AdamW's epsilon out of the way too; a large one shows it.
  const OptimizerConfig linear{.optimizer = "adamw", .weight_decay = 0, .beta1 = 0, .beta2 = 0, .epsilon = 1e6};
  const auto moved = [&](double clip) {
    Start(linear);
    const float before = decoder_->head().as<float>()[5];
    const double norm = Step(batches, {.lr = 1e6, .clip = clip}).gradient_norm;
    return std::pair(static_cast<double>(decoder_->head().as<float>()[5] - before), norm);
  };
  const auto [free, norm] = moved(0);
  EXPECT_NEAR(moved(0.25 * norm).first, 0.25 * free, 1e-3 * std::abs(free));
  EXPECT_EQ(moved(4 * norm).first, free);
}

// Whatever is wrong with a step, nothing of it stays: weights, moments and router biases keep their bytes.
class BadStepTest : public StepTest {
 protected:
  BadStepTest() : batches_{RandomBatch(config_, {20, 12}, 1), RandomBatch(config_, {9}, 2)} {
    Step(batches_);  // so that the moments are not zero
    state_ = State();
  }
  void ExpectSkipped(const StepResult& result, const std::string& reason) {
    EXPECT_TRUE(result.skipped);
    EXPECT_NE(result.skip_reason.find(reason), std::string::npos) << result.skip_reason;
    EXPECT_TRUE(State() == state_) << "the skipped step changed something";
    // And the next one is as if it had never been.
    const StepResult next = Step(batches_);
    EXPECT_FALSE(next.skipped) << next.skip_reason;
    const std::string after = State();
    Start();
    Step(batches_);
    Step(batches_);
    EXPECT_TRUE(State() == after) << "the skipped step left something behind";
  }

  std::vector<Batch> batches_;
  std::string state_;
};

TEST_F(BadStepTest, ALossThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Start();
    Step(batches_);
    std::vector<Batch> poisoned = batches_;
    poisoned[1].weights[3] = bad;
    ExpectSkipped(Step(poisoned), "the loss is not finite");
  }
}

TEST_F(BadStepTest, AGradientThatIsNotFinite) {
  const StepResult result = trainer_->Step(batches_,
                                           [](const ObjectiveInput& input, std::span<float> seeds) {
                                             if (input.micro_batch == 1)
                                               seeds[2] = std::numeric_limits<float>::infinity();
                                             return 1.0;
                                           },
                                           {.lr = 0.01, .bias_update_rate = 0.01});
  ExpectSkipped(result, "is not finite");
  EXPECT_NE(result.skip_reason.find("the gradient of "), std::string::npos);
}

TEST_F(BadStepTest, AGradientSpike) {
  const double norm = Step(batches_, {.spike_limit = 1e-9}).gradient_norm;
  EXPECT_GT(norm, 0);
  ExpectSkipped(Step(batches_, {.lr = 0.01, .bias_update_rate = 0.01, .spike_limit = 0.5 * norm}), "spike limit");
}

TEST_F(StepTest, RouterBiasesMoveAgainstTheLoad) {
  const StepResult result = Step({RandomBatch(config_, {30, 30}, 4)}, {.bias_update_rate = 0.125});
  const auto biases = decoder_->RouterBiases();
  const std::vector<int64_t>& loads = result.loads[1];
  const double mean = 60.0 * 3 / 8;
  ASSERT_EQ(biases[0].first, 1);
  for (size_t e = 0; e < 8; ++e) {
    const auto load = static_cast<double>(loads[e]);
    EXPECT_EQ(biases[0].second.span<float>()[e], load > mean ? -0.125f : load < mean ? 0.125f : 0.f) << e;
  }
}

TEST_F(StepTest, EntropyIsTheMeanOverTargets) {
  for (Param& param : decoder_->params().list()) {
    if (param.spec.role == ParamRole::kHead) {
      for (float& x : param.tensor.span<float>()) x = 0;
    }
  }
  const StepResult result = Step({RandomBatch(config_, {20, 12}, 1)}, {.with_entropy = true});
  EXPECT_NEAR(result.entropy, std::log(37.0), 1e-5);
}

}  // namespace
}  // namespace sputnik
