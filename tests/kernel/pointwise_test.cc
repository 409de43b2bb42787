#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

struct Size {
  int64_t rows, columns, gap;
};
const Size kSizes[] = {{1, 1, 0}, {3, 7, 2}, {5, 16, 0}, {2, 50000, 0}, {400, 97, 3}, {64, 1024, 0}};

TEST(Pointwise, SumsAndCopiesAgree) {
  for (const Size& size : kSizes) {
    for (int kind = 0; kind < 4; ++kind) {
      ExpectMachinesAgree(kEpsilon, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
        using T = decltype(number);
        Values random(static_cast<uint64_t>(size.columns));
        const int64_t stride = size.columns + size.gap, total = size.rows * stride;
        const std::vector<T> a = random.Array<T>(total), b = random.Array<T>(total);
        std::vector<T> y = random.Array<T>(total);
        AddArgs args;
        args.dtype = DTypeOf<T>();
        args.rows = size.rows;
        args.columns = size.columns;
        args.a_stride = args.b_stride = args.y_stride = stride;
        args.a = a.data();
        args.b = b.data();
        args.y = y.data();
        if (kind == 3) args.scale = 0.3;
        (kind == 0 ? kernels.add : kind == 2 ? kernels.copy : kernels.add_to)(args, pool);
        if (number == T(0) && size.rows == 3) {  // by hand, and nothing between the rows is touched
          Values again(static_cast<uint64_t>(size.columns));
          again.Array<T>(2 * total);
          const std::vector<T> old = again.Array<T>(total);
          for (int64_t i = 0; i < total; ++i) {
            const T sum = kind == 0   ? a[i] + b[i]
                          : kind == 1 ? old[i] + a[i]
                          : kind == 2 ? a[i]
                                      : std::fma(T(0.3), a[i], old[i]);
            EXPECT_EQ(y[i], i % stride < size.columns ? sum : old[i]);
          }
        }
        return y;
      });
    }
  }
}

template <class T>
struct Swiglu {
  SwigluBackwardArgs args;
  std::vector<T> in, y, dy, din;

  Swiglu(const Size& size, float range) {
    Values random(static_cast<uint64_t>(size.columns) + 5);
    SwigluArgs& f = args.forward;
    f.dtype = DTypeOf<T>();
    f.rows = size.rows;
    f.columns = size.columns;
    f.in_stride = args.din_stride = 2 * size.columns + size.gap;
    f.y_stride = args.dy_stride = size.columns + size.gap;
    in = random.Array<T>(size.rows * f.in_stride, -range, range);
    y.assign(static_cast<size_t>(size.rows * f.y_stride), T(0));
    dy = random.Array<T>(size.rows * args.dy_stride);
    din = random.Array<T>(static_cast<int64_t>(in.size()));
    f.gate = in.data();
    f.up = in.data() + size.columns;
    f.y = y.data();
    args.dy = dy.data();
    args.dgate = din.data();
    args.dup = din.data() + size.columns;
  }
  Swiglu(const Swiglu&) = delete;
};

TEST(Pointwise, SwigluAgrees) {
  for (const Size& size : kSizes) {
    for (float range : {4.0f, 120.0f}) {  // gates far out saturate
      ExpectMachinesAgree(16 * kEpsilon, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
        Swiglu<decltype(number)> problem(size, range);
        kernels.swiglu(problem.args.forward, pool);
        kernels.swiglu_backward(problem.args, pool);
        Outputs<decltype(number)> out;
        out.Take(problem.y);
        out.Take(problem.din);
        return out.values;
      });
    }
  }
}

TEST(Pointwise, SwigluBackwardIsTheDerivative) {
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  Swiglu<double> problem({4, 9, 0}, 3);
  std::fill(problem.din.begin(), problem.din.end(), 0.0);
  kernels.swiglu_backward(problem.args, pool);
  Values choose(1);
  ExpectGradient(
      problem.in, problem.din,
      [&] {
        kernels.swiglu(problem.args.forward, pool);
        double sum = 0;
        for (size_t i = 0; i < problem.y.size(); ++i) sum += problem.y[i] * problem.dy[i];
        return sum;
      },
      choose, 50);
}

template <class T>
struct Rows {
  GatherArgs args;
  std::vector<T> x, y;
  std::vector<uint16_t> half;
  std::vector<int32_t> index;

  Rows(int64_t rows, int64_t columns, bool bf16) {
    Values random(static_cast<uint64_t>(columns + rows));
    const int64_t table = 13;
    args.dtype = DTypeOf<T>();
    args.table_dtype = bf16 ? DType::kBF16 : DTypeOf<T>();
    args.rows = rows;
    args.columns = columns;
    args.x_stride = columns + 3;
    args.y_stride = columns + 1;
    x = random.Array<T>(table * args.x_stride);
    for (T value : x) half.push_back(BF16FromFloat(static_cast<float>(value)));
    y = random.Array<T>(rows * args.y_stride);
    for (int64_t i = 0; i < rows; ++i) index.push_back(static_cast<int32_t>(random.Below(table)));
    args.x = bf16 ? static_cast<void*>(half.data()) : x.data();
    args.y = y.data();
    args.index = index.data();
  }
  Rows(const Rows&) = delete;
};

TEST(Pointwise, GatherAndScatterAgree) {
  for (int64_t columns : {1, 18, 64, 385}) {
    for (int64_t rows : {1, 20, 300}) {
      for (int kind = 0; kind < 5; ++kind) {  // gather, adding or not, from either type; scatter
        const double tolerance = kEpsilon * static_cast<double>(rows);
        ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
          Rows<decltype(number)> problem(rows, columns, kind == 2 || kind == 3);
          problem.args.accumulate = kind % 2 == 1;
          (kind == 4 ? kernels.scatter_add : kernels.gather)(problem.args, pool);
          Outputs<decltype(number)> out;
          out.Take(problem.x);
          out.Take(problem.y);
          return out.values;
        });
      }
    }
  }
}

TEST(Pointwise, ScatterAddIsGathersTranspose) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(2);
    float table[] = {10, 20, 30};
    float rows[] = {1, 2, 4, 8};
    const int32_t index[] = {2, 0, 2, 2};
    GatherArgs args;
    args.rows = 4;
    args.columns = args.x_stride = args.y_stride = 1;
    args.x = table;
    args.y = rows;
    args.index = index;
    KernelsFor(machine).scatter_add(args, pool);
    EXPECT_EQ(std::vector<float>(table, table + 3), (std::vector<float>{12, 20, 43}));
    KernelsFor(machine).gather(args, pool);
    EXPECT_EQ(std::vector<float>(rows, rows + 4), (std::vector<float>{43, 12, 43, 43}));
  }
}

}  // namespace
}  // namespace sputnik::testing
