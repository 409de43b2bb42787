#include "op/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernel/backend.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Moe, "moe");

namespace {

double LogitOf(double probability) { return std::log(probability / (1 - probability)); }

class RouteTest : public testing::Test {
 protected:
  Routing RouteRows(std::vector<double>& logits, int64_t experts, const RouterOptions& options,
                    const std::vector<float>& bias = {}, std::vector<int32_t> sequence_start = {}) {
    const int64_t tokens = static_cast<int64_t>(logits.size()) / experts;
    starts_ = sequence_start.empty() ? std::vector<int32_t>{0, static_cast<int32_t>(tokens)} : sequence_start;
    bias_ = bias;
    return Route(pass_, Tensor(logits.data(), DType::kF64, {tokens, experts}),
                 bias_.empty() ? Tensor() : Tensor(bias_.data(), DType::kF32, {experts}), options, starts_);
  }

  std::vector<int32_t> starts_;
  std::vector<float> bias_;
  ThreadPool pool_{1};
  Arena arena_{1 << 20};
  Pass pass_{{KernelsFor("reference"), pool_}, arena_};
};

std::vector<int32_t> Chosen(const Routing& routing) { return {routing.chosen.begin(), routing.chosen.end()}; }

// The bias decides who is chosen and never how much they count.
TEST_F(RouteTest, BiasSelectsAndScoresWeigh) {
  std::vector<double> logits = {LogitOf(0.9), LogitOf(0.5), LogitOf(0.4), LogitOf(0.1)};
  const Routing routing = RouteRows(logits, 4, {.top_k = 2, .scaling = 2}, {-0.7f, 0.f, 0.f, 0.45f});
  EXPECT_EQ(Chosen(routing), (std::vector<int32_t>{3, 1}));  // 0.55 and 0.5 against 0.2 and 0.4
  EXPECT_NEAR(routing.weights.as<double>()[0], 2 * 0.1 / 0.6, 1e-7);
  EXPECT_NEAR(routing.weights.as<double>()[1], 2 * 0.5 / 0.6, 1e-7);
}

// V3 scores a group by its two best experts, V2 by its best one: here they disagree.
TEST_F(RouteTest, GroupScoresOfBothFamilies) {
  std::vector<double> logits = {2.0, -3.0, 1.0, 0.9};
  RouterOptions v3{.top_k = 2, .groups = 2, .top_groups = 1};
  EXPECT_EQ(Chosen(RouteRows(logits, 4, v3)), (std::vector<int32_t>{2, 3}));
  RouterOptions v2 = v3;
  v2.score = RouterScore::kSoftmax;
  v2.method = RouterMethod::kGroupLimitedGreedy;
  EXPECT_EQ(Chosen(RouteRows(logits, 4, v2)), (std::vector<int32_t>{0, 1}));
  v2.method = RouterMethod::kGreedy;
  EXPECT_EQ(Chosen(RouteRows(logits, 4, v2)), (std::vector<int32_t>{0, 2}));
}

// A dropped group stays out even when every kept biased score is negative.
TEST_F(RouteTest, DroppedGroupsNeverComeBack) {
  std::vector<double> logits = {LogitOf(0.5), LogitOf(0.4), LogitOf(0.3), LogitOf(0.2)};
  const Routing routing = RouteRows(logits, 4, {.top_k = 2, .groups = 2, .top_groups = 1}, {-1.f, -1.f, -1.f, -1.f});
  EXPECT_EQ(Chosen(routing), (std::vector<int32_t>{0, 1}));
}

TEST_F(RouteTest, TiesGoToTheLowerExpert) {
  std::vector<double> logits(8, 0.25);
  EXPECT_EQ(Chosen(RouteRows(logits, 8, {.top_k = 3})), (std::vector<int32_t>{0, 1, 2}));
}

TEST_F(RouteTest, RowsAreSortedByExpertAndToken) {
  std::vector<double> logits = {3, 2, 1, 0, 1, 2, 1.5, 9, 0, 4, 3, 1};  // three tokens, four experts
  const Routing routing = RouteRows(logits, 4, {.top_k = 2});
  EXPECT_EQ(Chosen(routing), (std::vector<int32_t>{0, 1, 3, 1, 1, 2}));
  EXPECT_EQ((std::vector<int32_t>{routing.expert_start.begin(), routing.expert_start.end()}),
            (std::vector<int32_t>{0, 1, 4, 5, 6}));
  EXPECT_EQ((std::vector<int32_t>{routing.row_token, routing.row_token + 6}), (std::vector<int32_t>{0, 0, 1, 2, 2, 1}));
  EXPECT_EQ((std::vector<int32_t>{routing.slot_row, routing.slot_row + 6}), (std::vector<int32_t>{0, 1, 5, 2, 3, 4}));
}

// V3's eq. 17–20 written out: per sequence T · Σ_i f_i P_i, with f from counts and P from normalised scores.
TEST_F(RouteTest, BalanceLossByHand) {
  std::vector<double> logits = {1, 0.5, -1, 0.2, 0.1, 2, -0.3, 0.4, 0.9};  // three tokens, three experts
  RouterOptions options{.top_k = 2, .balance_weight = 0.3};
  const Routing routing = RouteRows(logits, 3, options, {}, {0, 2, 2, 3});
  double expected = 0;
  for (const auto& [begin, end] : {std::pair{0, 2}, std::pair{2, 3}}) {
    const int length = end - begin;
    for (int expert = 0; expert < 3; ++expert) {
      double count = 0, mean = 0;
      for (int t = begin; t < end; ++t) {
        double scores[3], sum = 0;
        for (int e = 0; e < 3; ++e) sum += scores[e] = 1 / (1 + std::exp(-logits[static_cast<size_t>(3 * t + e)]));
        mean += scores[expert] / sum / length;
        const int32_t* chosen = &routing.chosen[static_cast<size_t>(2 * t)];
        count += static_cast<double>(std::count(chosen, chosen + 2, expert));
      }
      expected += length * (3.0 / (2 * length) * count) * mean;
    }
  }
  EXPECT_NEAR(routing.balance_loss, 0.3 * expected, 1e-12);
}

TEST_F(RouteTest, EvenLoadHasTheLeastBalanceLoss) {
  RouterOptions options{.top_k = 1, .balance_weight = 1};
  std::vector<double> even = {1, 0, 0, 1}, uneven = {1, 0, 1, 0};
  EXPECT_LT(RouteRows(even, 2, options).balance_loss, RouteRows(uneven, 2, options).balance_loss);
  // Equal scores: Σ f P is 1 per token whoever is chosen.
  std::vector<double> equal(6, 0);
  EXPECT_NEAR(RouteRows(equal, 2, options).balance_loss, 3, 1e-12);
}

TEST_F(RouteTest, CombineByHand) {
  std::vector<double> logits = {LogitOf(0.6), LogitOf(0.3), LogitOf(0.2)};
  const Routing routing = RouteRows(logits, 3, {.top_k = 2});
  double x[] = {1, 10, 2, 20}, base[] = {100, 1000};
  const Tensor y = Combine(pass_, Tensor(x, DType::kF64, {2, 2}), routing, Tensor(base, DType::kF64, {1, 2}));
  EXPECT_NEAR(y.as<double>()[0], 100 + 1 * 0.6 / 0.9 + 2 * 0.3 / 0.9, 1e-7);
  EXPECT_NEAR(y.as<double>()[1], 1000 + 10 * 0.6 / 0.9 + 20 * 0.3 / 0.9, 1e-6);
}

}  // namespace
}  // namespace sputnik
