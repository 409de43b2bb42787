#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

template <class T>
struct Problem {
  RmsNormBackwardArgs args;
  std::vector<T> x, gain, y, inv_rms, dy, dx, dgain;

  Problem(int64_t rows, int64_t columns, uint64_t seed) {
    Values random(seed);
    RmsNormArgs& f = args.forward;
    f.dtype = DTypeOf<T>();
    f.rows = rows;
    f.columns = columns;
    f.x_stride = columns + 3;
    f.y_stride = columns + 1;
    args.dy_stride = columns + 2;
    args.dx_stride = columns + 5;
    f.epsilon = 1e-6;
    x = random.Array<T>(rows * f.x_stride, -3, 3);
    gain = random.Array<T>(columns, 0.5, 1.5);
    y.assign(static_cast<size_t>(rows * f.y_stride), T(0));
    inv_rms.assign(static_cast<size_t>(rows), T(0));
    dy = random.Array<T>(rows * args.dy_stride);
    dx = random.Array<T>(rows * args.dx_stride);
    dgain = random.Array<T>(columns);
    f.x = x.data();
    f.gain = gain.data();
    f.y = y.data();
    f.inv_rms = inv_rms.data();
    args.dy = dy.data();
    args.dx = dx.data();
    args.dgain = dgain.data();
  }
  Problem(const Problem&) = delete;
};

TEST(Norm, MachinesAgree) {
  for (int64_t columns : {1, 5, 16, 31, 96, 384, 1000}) {
    for (int64_t rows : {1, 9, 70}) {
      const double tolerance = kEpsilon * static_cast<double>(16 + columns / 16 + rows);
      ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
        Problem<decltype(number)> problem(rows, columns, static_cast<uint64_t>(columns + rows));
        kernels.rms_norm(problem.args.forward, pool);
        kernels.rms_norm_backward(problem.args, pool);
        Outputs<decltype(number)> out;
        out.Take(problem.y);
        out.Take(problem.inv_rms);
        out.Take(problem.dx);
        out.Take(problem.dgain);
        return out.values;
      });
    }
  }
}

TEST(Norm, HasUnitMeanSquare) {
  const float x[] = {3, 4, 0, 0}, gain[] = {1, 1, 1, 2};
  for (const char* machine : {"reference", "cpu"}) {
    float y[4], inverse = 0;
    RmsNormArgs args;
    args.rows = 1;
    args.columns = args.x_stride = args.y_stride = 4;
    args.x = x;
    args.gain = gain;
    args.y = y;
    args.inv_rms = &inverse;
    ThreadPool pool(1);
    KernelsFor(machine).rms_norm(args, pool);
    EXPECT_NEAR(inverse, 0.4, 1e-7);
    EXPECT_NEAR(y[0], 1.2, 1e-6);
    EXPECT_NEAR(y[1], 1.6, 1e-6);
    EXPECT_EQ(y[3], 0);
  }
}

TEST(Norm, BackwardIsTheDerivative) {
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  Problem<double> problem(3, 20, 2);
  std::fill(problem.dx.begin(), problem.dx.end(), 0.0);
  std::fill(problem.dgain.begin(), problem.dgain.end(), 0.0);
  kernels.rms_norm(problem.args.forward, pool);
  kernels.rms_norm_backward(problem.args, pool);
  const auto loss = [&] {
    kernels.rms_norm(problem.args.forward, pool);
    double sum = 0;
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 20; ++c) {
        sum += problem.y[r * problem.args.forward.y_stride + c] * problem.dy[r * problem.args.dy_stride + c];
      }
    }
    return sum;
  };
  std::vector<double> dx(problem.x.size());
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 20; ++c) {
      dx[r * problem.args.forward.x_stride + c] = problem.dx[r * problem.args.dx_stride + c];
    }
  }
  Values choose(3);
  ExpectGradient(problem.x, dx, loss, choose, 40);
  ExpectGradient(problem.gain, problem.dgain, loss, choose, 20);
}

}  // namespace
}  // namespace sputnik::testing
