#include "model/projection.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/machines.h"

namespace sputnik {
namespace {

constexpr int64_t kRows = 21, kInputs = 13, kOutputs = 17;

class ProjectionTest : public testing::TestWithParam<std::string> {
 protected:
  Tensor Numbers(int64_t rows, int64_t columns) {
    const Tensor t = Tensor::New(arena_, DType::kF32, {rows, columns});
    for (float& value : t.span<float>()) value = static_cast<float>(random_.Normal());
    return t;
  }
  // Σ_i x[row, i] w[column, i]
  static double Dot(const Tensor& x, int64_t row, const Tensor& w, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < x.size(1); ++i) {
      sum += static_cast<double>(x.as<float>()[row * x.stride(0) + i]) *
             static_cast<double>(w.as<float>()[column * w.stride(0) + i]);
    }
    return sum;
  }
  // x[row] · aᵀ · b[column]
  static double Added(const Tensor& x, int64_t row, const LowRank& w, int64_t column) {
    double sum = 0;
    for (int64_t k = 0; k < w.a.size(0); ++k) {
      sum += Dot(x, row, w.a, k) * static_cast<double>(w.b.as<float>()[column * w.b.size(1) + k]);
    }
    return w.scale * sum;
  }

  Random random_{3, kStreamTest};
  ThreadPool pool_{2};
  Arena arena_{1 << 24};
  Pass pass_{{KernelsFor(GetParam()), pool_}, arena_};
};

TEST_P(ProjectionTest, AddsLowRankProductsToTheOutputsTheyBelongTo) {
  Projection w({Numbers(kOutputs, kInputs), Numbers(6, kInputs)});
  w.additions = {{0, {Numbers(3, kInputs), Numbers(5, 3), 0.5}}, {kOutputs, {Numbers(2, kInputs), Numbers(6, 2), 2}}};
  const Tensor x = Numbers(kRows, kInputs), y = Linear(pass_, x, w);
  ASSERT_EQ(y.size(1), kOutputs + 6);
  EXPECT_EQ(w.outputs(), kOutputs + 6);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t o = 0; o < kOutputs + 6; ++o) {
      const bool first = o < kOutputs;
      double expected = Dot(x, row, w.parts[first ? 0 : 1], first ? o : o - kOutputs);
      if (o < 5) expected += Added(x, row, w.additions[0].w, o);
      if (!first) expected += Added(x, row, w.additions[1].w, o - kOutputs);
      EXPECT_NEAR(y.as<float>()[row * y.stride(0) + o], expected, 1e-4) << row << " " << o;
    }
  }
}

TEST_P(ProjectionTest, ARowDoesNotKnowItsNeighbours) {
  Projection w(Numbers(kOutputs, kInputs));
  w.additions = {{0, {Numbers(4, kInputs), Numbers(kOutputs, 4), 0.7}}};
  const Tensor x = Numbers(kRows, kInputs), all = Linear(pass_, x, w);
  for (const int64_t count : {1, 2, 7}) {
    for (int64_t row = 0; row + count <= kRows; row += count) {
      const Tensor some = Linear(pass_, x.Slice(0, row, count), w);
      for (int64_t i = 0; i < count * kOutputs; ++i) {
        ASSERT_EQ(some.as<float>()[i], all.as<float>()[row * kOutputs + i]) << count << " rows from " << row;
      }
    }
  }
}

TEST_P(ProjectionTest, ExpertsEqualTheirOwnProjections) {
  const std::vector<int32_t> start = {0, 4, 4, kRows};
  ExpertProjection w;
  w.parts.resize(2);
  w.additions.resize(2);
  w.additions[1].first = kOutputs;
  std::vector<Projection> own;
  for (int expert = 0; expert < 3; ++expert) {
    const Tensor first = Numbers(kOutputs, kInputs), second = Numbers(8, kInputs);
    w.parts[0].push_back(first);
    w.parts[1].push_back(second);
    w.additions[0].experts.push_back({Numbers(2, kInputs), Numbers(kOutputs, 2), 0.5});
    w.additions[1].experts.push_back({Numbers(2, kInputs), Numbers(8, 2), 0.5});
    own.emplace_back(std::vector<Tensor>{first, second});
    own.back().additions = {{0, w.additions[0].experts.back()}, {kOutputs, w.additions[1].experts.back()}};
  }
  const Tensor x = Numbers(kRows, kInputs), y = GroupedLinear(pass_, x, start, w);
  for (size_t e = 0; e < 3; ++e) {
    const Tensor rows = Linear(pass_, x.Slice(0, start[e], start[e + 1] - start[e]), own[e]);
    for (int64_t i = 0; i < rows.elements(); ++i) {
      ASSERT_EQ(rows.as<float>()[i], y.as<float>()[start[e] * y.size(1) + i]) << "expert " << e;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, ProjectionTest, testing::ValuesIn(AvailableMachines()));

}  // namespace
}  // namespace sputnik
