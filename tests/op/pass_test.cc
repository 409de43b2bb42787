#include "op/pass.h"

#include "kernel/backend.h"
#include "op/linear.h"
#include "op/pointwise.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Pass, "pass");

namespace {

class PassTest : public testing::Test {
 protected:
  PassTest() {
    for (size_t i = 0; i < w_.size(); ++i) w_[i] = 0.1f * static_cast<float>(i % 7) - 0.25f;
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = 0.3f * static_cast<float>(i % 5) - 0.5f;
  }

  // Three blocks on a tape; returns the gradients of x and w and the arena's high water.
  struct Run {
    std::vector<float> y, dx, dw;
    int64_t kept = 0;  // arena bytes after the forward
  };
  Run Blocks(const std::string& machine, bool recompute) {
    Arena arena(1 << 24);
    Run run{{}, std::vector<float>(x_.size()), std::vector<float>(w_.size()), 0};
    GradientSlot x_slot{run.dx.data(), kRows * kWidth, DType::kF32},
        w_slot{run.dw.data(), kWidth * kWidth, DType::kF32};
    const Tensor w(w_.data(), DType::kF32, {kWidth, kWidth}, &w_slot);
    Tensor x(x_.data(), DType::kF32, {kRows, kWidth}, &x_slot);
    Tape tape(arena);
    Pass pass({KernelsFor(machine), pool_}, arena, &tape);
    const auto block = [w](Pass& p, const Tensor& input) {
      return Add(p, input, Linear(p, Linear(p, Linear(p, input, w), w), w));
    };
    for (int i = 0; i < 3; ++i) x = recompute ? pass.Recompute(x, block) : block(pass, x);
    run.kept = arena.used();
    run.y.assign(x.as<float>(), x.as<float>() + x.elements());
    for (float& seed : x.Gradient(arena).span<float>()) seed = 1;
    tape.Backward();
    return run;
  }

  static constexpr int64_t kRows = 40, kWidth = 9;
  std::vector<float> w_ = std::vector<float>(kWidth * kWidth), x_ = std::vector<float>(kRows * kWidth);
  ThreadPool pool_{2};
};

TEST_F(PassTest, RecomputingGivesTheSameBitsWithLessMemory) {
  for (const std::string& machine : AvailableMachines()) {
    const Run kept = Blocks(machine, false), again = Blocks(machine, true);
    EXPECT_EQ(kept.y, again.y) << machine;
    EXPECT_EQ(kept.dx, again.dx) << machine;
    EXPECT_EQ(kept.dw, again.dw) << machine;
    EXPECT_LT(again.kept, kept.kept / 2) << machine;
  }
}

TEST_F(PassTest, WithoutATapeNothingIsRecordedOrKept) {
  Arena arena(1 << 20);
  Pass pass({KernelsFor("reference"), pool_}, arena);
  EXPECT_FALSE(pass.recording());
  EXPECT_FALSE(pass.New(DType::kF32, {2, 3}).has_gradient());
  bool ran = false;
  pass.Backward([&ran] { ran = true; });
  EXPECT_FALSE(ran);
  const Tensor x(x_.data(), DType::kF32, {kRows, kWidth});
  int calls = 0;
  const Tensor y = pass.Recompute(x, [&calls](Pass& p, const Tensor& input) {
    ++calls;
    EXPECT_FALSE(p.recomputing());
    return input;
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(y.data(), x.data());
}

TEST_F(PassTest, ABlockKnowsWhenItRunsAgain) {
  Arena arena(1 << 20);
  Tape tape(arena);
  Pass pass({KernelsFor("reference"), pool_}, arena, &tape);
  const Tensor x = pass.New(DType::kF32, {2, 2});
  for (float& value : x.span<float>()) value = 1;
  std::vector<bool> runs;
  const Tensor y = pass.Recompute(x, [&runs](Pass& p, const Tensor& input) {
    runs.push_back(p.recomputing());
    return Add(p, input, input);
  });
  EXPECT_EQ(y.as<float>()[0], 2);
  tape.Backward();
  EXPECT_EQ(runs, (std::vector<bool>{false, true}));
}

}  // namespace
}  // namespace sputnik
