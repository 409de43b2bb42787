#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

template <class T>
struct Adam {
  AdamWArgs args;
  std::vector<T> p, g, m, v;

  explicit Adam(int64_t n) {
    Values random(static_cast<uint64_t>(n));
    p = random.Array<T>(n);
    g = random.Array<T>(n);
    m = random.Array<T>(n, -0.1f, 0.1f);
    v = random.Array<T>(n, 0, 0.1f);
    args.dtype = DTypeOf<T>();
    args.elements = n;
    args.parameter = p.data();
    args.gradient = g.data();
    args.first = m.data();
    args.second = v.data();
    args.gradient_scale = 0.5;
    args.lr = 0.01;
    args.weight_decay = 0.1;
    args.correction1 = 1 - std::pow(0.9, 3);
    args.correction2 = 1 - std::pow(0.95, 3);
  }
  Adam(const Adam&) = delete;
};

TEST(Update, AdamWAgrees) {
  for (int64_t n : {1, 40, 70001}) {
    ExpectMachinesAgree(4 * kEpsilon, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      Adam<decltype(number)> adam(n);
      for (int step = 0; step < 2; ++step) kernels.adamw(adam.args, pool);
      Outputs<decltype(number)> out;
      out.Take(adam.p);
      out.Take(adam.m);
      out.Take(adam.v);
      return out.values;
    });
  }
}

// The first step from zero moments moves by lr · sign(g), whatever the gradient's size.
TEST(Update, AdamWFirstStep) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    float p[] = {1, 1, 1}, g[] = {5, -0.01f, 300}, m[3] = {}, v[3] = {};
    AdamWArgs args;
    args.elements = 3;
    args.parameter = p;
    args.gradient = g;
    args.first = m;
    args.second = v;
    args.lr = 0.1;
    args.weight_decay = 0.5;
    args.correction1 = 1 - args.beta1;
    args.correction2 = 1 - args.beta2;
    KernelsFor(machine).adamw(args, pool);
    EXPECT_NEAR(p[0], 1 - 0.1 * (1 + 0.5), 1e-5);
    EXPECT_NEAR(p[1], 1 - 0.1 * (-1 + 0.5), 1e-5);
    EXPECT_NEAR(p[2], 1 - 0.1 * (1 + 0.5), 1e-5);
  }
}

template <class T>
struct Matrices {
  MuonArgs args;
  std::vector<MuonMatrix> list;
  std::vector<std::vector<T>> memory;

  explicit Matrices(const std::vector<std::pair<int64_t, int64_t>>& shapes) {
    Values random(shapes.size());
    memory.reserve(3 * shapes.size());
    for (const auto& [rows, columns] : shapes) {
      MuonMatrix matrix;
      matrix.rows = rows;
      matrix.columns = columns;
      matrix.parameter = memory.emplace_back(random.Array<T>(rows * columns)).data();
      matrix.gradient = memory.emplace_back(random.Array<T>(rows * columns)).data();
      matrix.momentum = memory.emplace_back(random.Array<T>(rows * columns)).data();
      list.push_back(matrix);
    }
    args.dtype = DTypeOf<T>();
    args.matrices = static_cast<int64_t>(list.size());
    args.list = list.data();
    args.gradient_scale = 2;
    args.lr = 0.02;
    args.weight_decay = 0.1;
  }
  Matrices(const Matrices&) = delete;
};

TEST(Update, MuonAgrees) {
  const std::vector<std::vector<std::pair<int64_t, int64_t>>> lists = {
      {{1, 1}}, {{16, 40}, {40, 16}, {7, 7}, {1, 30}, {33, 2}, {24, 24}, {5, 90}}, {{72, 100}, {100, 72}}};
  for (const auto& shapes : lists) {
    // Each iteration can stretch an error by the polynomial's slope at zero.
    const double tolerance = kEpsilon * 100 * std::pow(3.4445, 5);
    ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      Matrices<decltype(number)> matrices(shapes);
      kernels.muon(matrices.args, pool);
      Outputs<decltype(number)> out;
      for (const auto& values : matrices.memory) out.Take(values);
      return out.values;
    });
  }
}

// The update is nearly orthogonal: rows of unit length (within the range the five iterations leave), times the factor.
TEST(Update, MuonStepsAreNearlyOrthogonal) {
  for (const auto& shape : {std::pair<int64_t, int64_t>{8, 20}, {20, 8}}) {
    const int64_t rows = shape.first, columns = shape.second;  // clang 14 lets no lambda capture a structured binding
    ThreadPool pool(1);
    Matrices<double> matrices({{rows, columns}});
    matrices.args.weight_decay = 0;
    matrices.args.lr = 1;
    const std::vector<double> before = matrices.memory[0];
    KernelsFor("reference").muon(matrices.args, pool);
    const double factor = 0.2 * std::sqrt(20.0);
    const auto step = [&](int64_t i, int64_t j) {  // of the [8, 20] orientation
      const int64_t at = rows < columns ? i * columns + j : j * columns + i;
      return (before[at] - matrices.memory[0][at]) / factor;
    };
    for (int64_t a = 0; a < 8; ++a) {
      for (int64_t b = 0; b < 8; ++b) {
        double dot = 0;
        for (int64_t j = 0; j < 20; ++j) dot += step(a, j) * step(b, j);
        EXPECT_NEAR(dot, a == b ? 1 : 0, 0.5) << a << ", " << b;
      }
    }
  }
}

TEST(Update, MuonMomentumIsNesterov) {
  ThreadPool pool(1);
  double p = 0, g = 3, momentum = 2;
  MuonMatrix matrix{&p, &g, &momentum, 1, 1};
  MuonArgs args;
  args.dtype = DType::kF64;
  args.matrices = 1;
  args.list = &matrix;
  args.lr = 1;
  args.iterations = 0;  // X is then U / |U| = 1
  KernelsFor("reference").muon(args, pool);
  EXPECT_NEAR(momentum, 0.95 * 2 + 3, 1e-12);
  EXPECT_NEAR(p, -0.2, 1e-6);
}

TEST(Update, SumOfSquaresAgrees) {
  for (int64_t n : {0, 1, 100, 4096, 4097, 100000}) {
    ExpectMachinesAgree(kEpsilon * 300, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      using T = decltype(number);
      Values random(9);
      const std::vector<T> x = random.Array<T>(n);
      SumOfSquaresArgs args;
      args.dtype = DTypeOf<T>();
      args.elements = n;
      args.x = x.data();
      kernels.sum_of_squares(args, pool);
      const T high = static_cast<T>(args.result);  // a double, compared in two parts
      return std::vector<T>{high, static_cast<T>(args.result - static_cast<double>(high))};
    });
  }
}

}  // namespace
}  // namespace sputnik::testing
