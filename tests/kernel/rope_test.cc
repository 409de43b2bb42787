#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

template <class T>
struct Problem {
  RopeArgs args;
  std::vector<T> x, y, table;
  std::vector<int32_t> positions;

  Problem(int64_t tokens, int64_t heads, int64_t dim, uint64_t seed) {
    Values random(seed);
    args.dtype = DTypeOf<T>();
    args.tokens = tokens;
    args.heads = heads;
    args.dim = dim;
    args.x_head_stride = dim + 5;
    args.x_stride = args.x_head_stride * heads + 1;
    args.y_head_stride = dim;
    args.y_stride = args.y_head_stride * heads + 7;
    for (int64_t i = 0; i < 50 * dim; i += 2) {
      const double angle = static_cast<double>(random.Uniform(-3, 3));
      table.push_back(static_cast<T>(static_cast<float>(std::cos(angle))));
      table.push_back(static_cast<T>(static_cast<float>(std::sin(angle))));
    }
    for (int64_t t = 0; t < tokens; ++t) positions.push_back(static_cast<int32_t>(random.Below(50)));
    x = random.Array<T>(tokens * args.x_stride);
    y = random.Array<T>(tokens * args.y_stride);
    args.x = x.data();
    args.y = y.data();
    args.table = table.data();
    args.positions = positions.data();
  }
  Problem(const Problem&) = delete;
};

TEST(Rope, MachinesAgree) {
  for (int64_t dim : {2, 8, 16, 22, 64}) {
    for (int variant = 0; variant < 8; ++variant) {
      ExpectMachinesAgree(4 * kEpsilon, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
        Problem<decltype(number)> problem(variant % 4 == 0 ? 300 : 5, 3, dim, static_cast<uint64_t>(dim));
        problem.args.inverse = variant % 2 == 1;
        problem.args.accumulate = variant % 4 >= 2;
        problem.args.layout = variant >= 4 ? RopeLayout::kHalves : RopeLayout::kInterleaved;
        kernels.rope(problem.args, pool);
        return problem.y;
      });
    }
  }
}

TEST(Rope, TurnsByTheAngle) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    float values[] = {3, 4, 1, 2};
    const float table[] = {1, 0, 1, 0, 0, 1, -1, 0};  // position 1: a quarter turn, then half a turn
    const int32_t position = 1;
    RopeArgs args;
    args.tokens = args.heads = 1;
    args.dim = args.x_stride = args.y_stride = args.x_head_stride = args.y_head_stride = 4;
    args.x = args.y = values;  // in place
    args.table = table;
    args.positions = &position;
    KernelsFor(machine).rope(args, pool);
    EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{-4, 3, -1, -2}));
    args.inverse = true;
    KernelsFor(machine).rope(args, pool);
    EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{3, 4, 1, 2}));
  }
}

// The same turns of the pairs (x0, x2) and (x1, x3).
TEST(Rope, HalvesTurnByTheAngle) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    float values[] = {3, 1, 4, 2};
    const float table[] = {1, 1, 0, 0, 0, -1, 1, 0};  // position 1: a quarter turn, then half a turn
    const int32_t position = 1;
    RopeArgs args;
    args.layout = RopeLayout::kHalves;
    args.tokens = args.heads = 1;
    args.dim = args.x_stride = args.y_stride = args.x_head_stride = args.y_head_stride = 4;
    args.x = args.y = values;  // in place
    args.table = table;
    args.positions = &position;
    KernelsFor(machine).rope(args, pool);
    EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{-4, -1, 3, -2}));
    args.inverse = true;
    KernelsFor(machine).rope(args, pool);
    EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{3, 1, 4, 2}));
  }
}

// The rotation is linear, so its backward is its transpose: <rope(x), y> = <x, rope⁻¹(y)>.
TEST(Rope, InverseIsTheTranspose) {
  ThreadPool pool(1);
  Problem<double> forward(4, 2, 8, 5), backward(4, 2, 8, 5);
  KernelsFor("reference").rope(forward.args, pool);
  Values random(6);
  backward.x = random.Array<double>(static_cast<int64_t>(backward.x.size()));
  backward.args.x = backward.x.data();
  backward.args.inverse = true;
  KernelsFor("reference").rope(backward.args, pool);
  double left = 0, right = 0;
  for (int64_t t = 0; t < 4; ++t) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < 8; ++i) {
        const size_t in = static_cast<size_t>(t * forward.args.x_stride + h * forward.args.x_head_stride + i);
        const size_t out = static_cast<size_t>(t * forward.args.y_stride + h * forward.args.y_head_stride + i);
        left += forward.y[out] * backward.x[in];
        right += forward.x[in] * backward.y[out];
      }
    }
  }
  EXPECT_NEAR(left, right, 1e-12);
}

}  // namespace
}  // namespace sputnik::testing
