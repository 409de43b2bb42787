#include "op/logprob.h"

#include <cmath>

#include "base/random.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(LogProb, "logprob");

namespace {

// More rows than fit one chunk of logits (about 2^18 numbers, at least 16 rows).
constexpr int64_t kRows = 45, kVocabulary = 17000, kWidth = 5;

struct Problem {
  std::vector<float> hidden = std::vector<float>(kRows * kWidth), head = std::vector<float>(kVocabulary * kWidth);
  std::vector<int32_t> targets;

  Problem() {
    Random random(21, kStreamTest);
    for (float& x : hidden) x = static_cast<float>(random.Normal());
    for (float& x : head) x = static_cast<float>(random.Normal());
    for (int64_t i = 0; i < kRows; ++i) {
      targets.push_back(i % 7 == 2 ? -1 : static_cast<int32_t>(random.Below(kVocabulary)));
    }
  }
  Tensor Rows(int64_t from, int64_t count, GradientSlot* slot = nullptr) {
    return Tensor(hidden.data(), DType::kF32, {kRows, kWidth}, slot).Slice(0, from, count);
  }
  Tensor Head(GradientSlot* slot = nullptr) { return Tensor(head.data(), DType::kF32, {kVocabulary, kWidth}, slot); }
};

class LogProbTest : public testing::TestWithParam<std::string> {
 protected:
  ThreadPool pool_{2};
  Arena arena_{1 << 28};
  Machine machine_{KernelsFor(GetParam()), pool_};
  Problem problem_;
};

// Values and gradients of all rows at once, over several chunks, against one call per row.
TEST_P(LogProbTest, ChunksChangeNoBit) {
  std::vector<float> gradients[2][2];
  std::vector<float> values[2];
  for (const bool one_by_one : {false, true}) {
    std::vector<float> dhidden(problem_.hidden.size()), dhead(problem_.head.size());
    GradientSlot hidden_slot{dhidden.data(), kRows * kWidth, DType::kF32},
        head_slot{dhead.data(), kVocabulary * kWidth, DType::kF32};
    const int64_t step = one_by_one ? 1 : kRows;
    for (int64_t row = 0; row < kRows; row += step) {
      const ArenaScope scope(arena_);
      Tape tape(arena_);
      Pass pass(machine_, arena_, &tape);
      const LogProbs out = LogProb(pass, problem_.Rows(row, step, &hidden_slot), problem_.Head(&head_slot),
                                   &problem_.targets[static_cast<size_t>(row)], 1.25, true);
      for (int64_t i = 0; i < step; ++i) {
        values[one_by_one].push_back(out.logprob.as<float>()[i]);
        values[one_by_one].push_back(out.lse.as<float>()[i]);
        values[one_by_one].push_back(out.entropy.as<float>()[i]);
        out.logprob.Gradient(arena_).as<float>()[i] = 0.1f * static_cast<float>(row + i - 20);
      }
      tape.Backward();
    }
    gradients[one_by_one][0] = dhidden;
    gradients[one_by_one][1] = dhead;
  }
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(gradients[0][0], gradients[1][0]);
  EXPECT_EQ(gradients[0][1], gradients[1][1]);
}

TEST_P(LogProbTest, SamplerAndTrainerAgreeToTheBit) {
  Pass pass(machine_, arena_);
  const LogProbs whole = LogProb(pass, problem_.Rows(0, kRows), problem_.Head(), problem_.targets.data(), 0.8, true);
  for (const int64_t row : {0, 15, 16, 17, 44}) {
    const Tensor logits = Logits(pass, problem_.Rows(row, 1), problem_.Head());
    const LogProbs one = LogProbOfLogits(pass, logits, &problem_.targets[static_cast<size_t>(row)], 0.8, true);
    EXPECT_EQ(one.logprob.as<float>()[0], whole.logprob.as<float>()[row]);
    EXPECT_EQ(one.lse.as<float>()[0], whole.lse.as<float>()[row]);
    EXPECT_EQ(one.entropy.as<float>()[0], whole.entropy.as<float>()[row]);
  }
}

// The definition, in double, from the logits themselves.
TEST_P(LogProbTest, LogSoftmaxOfScaledLogits) {
  constexpr double kInverse = 1 / 0.6;
  Pass pass(machine_, arena_);
  const LogProbs out = LogProb(pass, problem_.Rows(0, kRows), problem_.Head(), problem_.targets.data(), kInverse, true);
  const Tensor logits = Logits(pass, problem_.Rows(0, kRows), problem_.Head());
  for (int64_t row = 0; row < kRows; row += 9) {
    double sum = 0, mean = 0, largest = 0;
    for (int64_t v = 0; v < kVocabulary; ++v) {
      const double z = kInverse * static_cast<double>(logits.as<float>()[row * kVocabulary + v]);
      sum += std::exp(z);
      mean += std::exp(z) * z;
      largest = std::max(largest, std::abs(z));
    }
    const double lse = std::log(sum), bound = 16 * 0x1p-24 * (largest + std::abs(lse));
    EXPECT_NEAR(static_cast<double>(out.lse.as<float>()[row]), lse, bound);
    EXPECT_NEAR(static_cast<double>(out.entropy.as<float>()[row]), lse - mean / sum, 4 * bound);
    const int32_t target = problem_.targets[static_cast<size_t>(row)];
    const double z = target < 0 ? 0 : kInverse * static_cast<double>(logits.as<float>()[row * kVocabulary + target]);
    EXPECT_NEAR(static_cast<double>(out.logprob.as<float>()[row]), target < 0 ? 0 : z - lse, 2 * bound);
  }
}

TEST_P(LogProbTest, RowsWithoutATargetGiveNothing) {
  std::vector<float> dhidden(problem_.hidden.size());
  GradientSlot slot{dhidden.data(), kRows * kWidth, DType::kF32};
  Tape tape(arena_);
  Pass pass(machine_, arena_, &tape);
  const LogProbs out = LogProb(pass, problem_.Rows(0, kRows, &slot), problem_.Head(), problem_.targets.data());
  for (float& seed : out.logprob.Gradient(arena_).span<float>()) seed = 1;
  tape.Backward();
  for (int64_t row = 0; row < kRows; ++row) {
    const bool nothing = problem_.targets[static_cast<size_t>(row)] < 0;
    EXPECT_EQ(out.logprob.as<float>()[row] == 0, nothing) << row;
    EXPECT_EQ(dhidden[static_cast<size_t>(row * kWidth)] == 0, nothing) << row;
  }
}

TEST_P(LogProbTest, NoRows) {
  Tape tape(arena_);
  Pass pass(machine_, arena_, &tape);
  const Tensor none = pass.New(DType::kF32, {0, kWidth});
  EXPECT_EQ(LogProb(pass, none, problem_.Head(), nullptr).logprob.size(0), 0);
  tape.Backward();
}

INSTANTIATE_TEST_SUITE_P(Machines, LogProbTest, testing::ValuesIn(AvailableMachines()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace sputnik
