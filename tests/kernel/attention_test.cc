#include <numeric>

#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

struct Shape {
  std::vector<int32_t> queries, keys;  // per sequence
  int64_t heads = 1, key_heads = 1, key_dim = 8, value_dim = 8;
  bool blocks = false, shared = false;  // shared: the values are the first columns of the keys
};

// All inputs of one attention call. Rows are spaced out, so that strides are told apart from sizes.
template <class T>
struct Problem {
  AttentionArgs args;
  std::vector<int32_t> query_start{0}, key_count, key_start, block_table, block_start{0};
  std::vector<T> q, k, v, o, lse;
  int64_t total_queries = 0, rows = 0;

  Problem(const Shape& shape, uint64_t seed) {
    Values random(seed);
    int32_t next = 3;
    std::vector<int32_t> order;
    for (size_t s = 0; s < shape.queries.size(); ++s) {
      query_start.push_back(query_start.back() + shape.queries[s]);
      key_count.push_back(shape.keys[s]);
      key_start.push_back(next);
      if (shape.blocks) {
        for (int32_t b = 0; b < (shape.keys[s] + 15) / 16; ++b) order.push_back(static_cast<int32_t>(order.size()));
        block_start.push_back(static_cast<int32_t>(order.size()));
      }
      next += shape.keys[s] + 2;
    }
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(static_cast<int64_t>(i))]);
    block_table = order;
    total_queries = query_start.back();
    rows = shape.blocks ? static_cast<int64_t>(order.size()) * 16 : next;
    args.dtype = DTypeOf<T>();
    args.sequences = static_cast<int64_t>(shape.queries.size());
    args.heads = shape.heads;
    args.key_heads = shape.key_heads;
    args.key_dim = shape.key_dim;
    args.value_dim = shape.value_dim;
    args.scale = 1 / std::sqrt(static_cast<double>(shape.key_dim));
    args.q_head_stride = shape.key_dim + 1;
    args.q_stride = args.q_head_stride * shape.heads + 2;
    args.k_head_stride = shape.key_dim + 3;
    args.k_stride = args.k_head_stride * shape.key_heads + 1;
    args.v_head_stride = shape.shared ? args.k_head_stride : shape.value_dim;
    args.v_stride = shape.shared ? args.k_stride : args.v_head_stride * shape.key_heads + 5;
    args.o_head_stride = shape.value_dim + 2;
    args.o_stride = args.o_head_stride * shape.heads;
    q = random.Array<T>(total_queries * args.q_stride, -2, 2);
    k = random.Array<T>(rows * args.k_stride, -2, 2);
    v = shape.shared ? std::vector<T>() : random.Array<T>(rows * args.v_stride);
    o.assign(static_cast<size_t>(total_queries * args.o_stride), T(0));
    lse.assign(static_cast<size_t>(total_queries * shape.heads), T(0));
    args.query_start = query_start.data();
    args.key_count = key_count.data();
    if (shape.blocks) {
      args.block_table = block_table.data();
      args.block_start = block_start.data();
    } else {
      args.key_start = key_start.data();
    }
    args.q = q.data();
    args.k = k.data();
    args.v = shape.shared ? k.data() : v.data();
    args.o = o.data();
    args.lse = lse.data();
  }
  Problem(const Problem&) = delete;
};

const Shape kShapes[] = {
    {.queries = {1}, .keys = {1}},
    {.queries = {5, 0, 17, 40}, .keys = {5, 3, 17, 40}, .heads = 3, .key_heads = 3, .key_dim = 24, .value_dim = 16},
    {.queries = {70, 3}, .keys = {70, 9}, .heads = 4, .key_heads = 2, .key_dim = 13, .value_dim = 11},
    {.queries = {130}, .keys = {133}, .heads = 2, .key_heads = 1, .key_dim = 48, .value_dim = 32},
    {.queries = {20, 33}, .keys = {64, 33}, .heads = 4, .key_heads = 4, .key_dim = 96, .value_dim = 64},
};
const Shape kBlockShapes[] = {
    {.queries = {1, 1, 1, 7},
     .keys = {1, 16, 50, 33},
     .heads = 4,
     .key_heads = 2,
     .key_dim = 24,
     .value_dim = 20,
     .blocks = true},
    {.queries = {1, 2},
     .keys = {200, 37},
     .heads = 16,
     .key_heads = 1,
     .key_dim = 72,
     .value_dim = 64,
     .blocks = true,
     .shared = true},
    {.queries = {1, 1}, .keys = {700, 1}, .heads = 2, .key_heads = 2, .key_dim = 48, .value_dim = 48, .blocks = true},
};

TEST(Attention, MachinesAgree) {
  const auto check = [](const Shape& shape, uint64_t seed) {
    const int64_t longest = *std::max_element(shape.keys.begin(), shape.keys.end());
    // Scores of size s carry s·ε·dim; the exponential turns that into a relative error of the weights.
    const double tolerance = kEpsilon * static_cast<double>(8 * shape.key_dim + longest);
    ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      Problem<decltype(number)> problem(shape, seed);
      kernels.attention(problem.args, pool);
      Outputs<decltype(number)> out;
      out.Take(problem.o);
      out.Take(problem.lse);
      return out.values;
    });
  };
  uint64_t seed = 1;
  for (const Shape& shape : kShapes) check(shape, ++seed);
  for (const Shape& shape : kBlockShapes) check(shape, ++seed);
}

template <class T>
struct Gradients {
  AttentionBackwardArgs args;
  std::vector<T> d_o, dq, dk, dv;

  Gradients(const Problem<T>& problem, uint64_t seed) {
    Values random(seed + 100);
    args.forward = problem.args;
    args.d_o_head_stride = problem.args.o_head_stride + 1;
    args.d_o_stride = args.d_o_head_stride * problem.args.heads;
    d_o = random.Array<T>(problem.total_queries * args.d_o_stride);
    args.dq_head_stride = problem.args.q_head_stride;
    args.dq_stride = problem.args.q_stride;
    dq = random.Array<T>(static_cast<int64_t>(problem.q.size()));
    args.dk_head_stride = problem.args.k_head_stride;
    args.dk_stride = problem.args.k_stride;
    dk = random.Array<T>(static_cast<int64_t>(problem.k.size()));
    args.dv_head_stride = problem.args.v_head_stride;
    args.dv_stride = problem.args.v_stride;
    dv = random.Array<T>(static_cast<int64_t>(problem.v.size()));
    args.d_o = d_o.data();
    args.dq = dq.data();
    args.dk = dk.data();
    args.dv = dv.data();
  }
  Gradients(const Gradients&) = delete;
};

TEST(Attention, BackwardMachinesAgree) {
  uint64_t seed = 10;
  for (const Shape& shape : kShapes) {
    ++seed;
    const int64_t longest = *std::max_element(shape.keys.begin(), shape.keys.end());
    const double tolerance = kEpsilon * static_cast<double>(16 * shape.key_dim + 2 * longest);
    ExpectMachinesAgree(tolerance, [&](auto number, const Kernels& kernels, ThreadPool& pool) {
      using T = decltype(number);
      Problem<T> problem(shape, seed);
      kernels.attention(problem.args, pool);
      Gradients<T> gradients(problem, seed);
      kernels.attention_backward(gradients.args, pool);
      Outputs<T> out;
      out.Take(gradients.dq);
      out.Take(gradients.dk);
      out.Take(gradients.dv);
      return out.values;
    });
  }
}

TEST(Attention, BackwardIsTheDerivative) {
  const Shape shape{.queries = {4, 9}, .keys = {6, 9}, .heads = 4, .key_heads = 2, .key_dim = 6, .value_dim = 5};
  ThreadPool pool(1);
  const Kernels& kernels = KernelsFor("reference");
  Problem<double> problem(shape, 3);
  kernels.attention(problem.args, pool);
  Gradients<double> gradients(problem, 3);
  for (auto* values : {&gradients.dq, &gradients.dk, &gradients.dv}) std::fill(values->begin(), values->end(), 0.0);
  kernels.attention_backward(gradients.args, pool);
  const auto loss = [&] {
    kernels.attention(problem.args, pool);
    double sum = 0;
    for (int64_t r = 0; r < problem.total_queries; ++r) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t c = 0; c < shape.value_dim; ++c) {
          sum += problem.o[r * problem.args.o_stride + h * problem.args.o_head_stride + c] *
                 gradients.d_o[r * gradients.args.d_o_stride + h * gradients.args.d_o_head_stride + c];
        }
      }
    }
    return sum;
  };
  Values choose(4);
  ExpectGradient(problem.q, gradients.dq, loss, choose, 40);
  ExpectGradient(problem.k, gradients.dk, loss, choose, 40);
  ExpectGradient(problem.v, gradients.dv, loss, choose, 40);
}

// One head per query head with its key head's rows copied must give the same bits as sharing them.
TEST(Attention, GroupedHeadsReadTheirKeyHead) {
  const Shape shared{.queries = {21}, .keys = {30}, .heads = 6, .key_heads = 2, .key_dim = 16, .value_dim = 8};
  Shape copied = shared;
  copied.key_heads = 6;
  ThreadPool pool(2);
  Problem<float> few(shared, 5), many(copied, 6);
  many.q = few.q;
  many.args.q = many.q.data();
  for (int64_t row = 0; row < few.rows; ++row) {
    for (int64_t h = 0; h < 6; ++h) {
      for (int64_t d = 0; d < 16; ++d) {
        many.k[row * many.args.k_stride + h * many.args.k_head_stride + d] =
            few.k[row * few.args.k_stride + h / 3 * few.args.k_head_stride + d];
      }
      for (int64_t c = 0; c < 8; ++c) {
        many.v[row * many.args.v_stride + h * many.args.v_head_stride + c] =
            few.v[row * few.args.v_stride + h / 3 * few.args.v_head_stride + c];
      }
    }
  }
  KernelsFor("cpu").attention(few.args, pool);
  KernelsFor("cpu").attention(many.args, pool);
  EXPECT_TRUE(SameBits(few.o, many.o));
  EXPECT_TRUE(SameBits(few.lse, many.lse));
}

// A hand-checked case: two keys with scores 0 and ln 3, so weights ¼ and ¾.
TEST(Attention, WeighsValuesBySoftmax) {
  for (const char* machine : {"reference", "cpu"}) {
    ThreadPool pool(1);
    const int32_t query_start[] = {0, 1}, key_count[] = {2}, key_start[] = {0};
    const float q[] = {1, 0}, k[] = {0, 5, 1.0986123f, -7}, v[] = {4, 8};
    float o = 0, lse = 0;
    AttentionArgs args;
    args.sequences = args.heads = args.key_heads = args.value_dim = 1;
    args.key_dim = 2;
    args.query_start = query_start;
    args.key_count = key_count;
    args.key_start = key_start;
    args.q = q;
    args.q_stride = args.q_head_stride = 2;
    args.k = k;
    args.k_stride = args.k_head_stride = 2;
    args.v = v;
    args.v_stride = args.v_head_stride = 1;
    args.o = &o;
    args.o_stride = args.o_head_stride = 1;
    args.lse = &lse;
    KernelsFor(machine).attention(args, pool);
    EXPECT_NEAR(o, 7.0, 1e-6);
    EXPECT_NEAR(lse, std::log(4.0), 1e-6);
  }
}

// Keys in scattered blocks, as in a cache, give the bits of keys in a row; garbage behind the visible keys is not read.
TEST(Attention, BlockTableEqualsContiguousKeys) {
  const Shape in_rows{
      .queries = {1, 6, 40}, .keys = {77, 20, 40}, .heads = 2, .key_heads = 2, .key_dim = 24, .value_dim = 12};
  Shape in_blocks = in_rows;
  in_blocks.blocks = true;
  ThreadPool pool(1);
  Problem<float> rows(in_rows, 7), blocks(in_blocks, 8);
  blocks.q = rows.q;
  blocks.args.q = blocks.q.data();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::fill(blocks.k.begin(), blocks.k.end(), nan);
  std::fill(blocks.v.begin(), blocks.v.end(), nan);
  for (int64_t s = 0; s < 3; ++s) {
    for (int64_t j = 0; j < in_rows.keys[s]; ++j) {
      const int64_t from = rows.key_start[s] + j;
      const int64_t to = blocks.block_table[blocks.block_start[s] + j / 16] * 16 + j % 16;
      std::copy_n(&rows.k[from * rows.args.k_stride], rows.args.k_stride, &blocks.k[to * blocks.args.k_stride]);
      std::copy_n(&rows.v[from * rows.args.v_stride], rows.args.v_stride, &blocks.v[to * blocks.args.v_stride]);
    }
  }
  KernelsFor("reference").attention(rows.args, pool);
  OnEveryCpuMachine([&](const Kernels& cpu, ThreadPool& threads) {
    std::fill(blocks.o.begin(), blocks.o.end(), 0.0f);
    cpu.attention(blocks.args, threads);
    EXPECT_TRUE(SameBits(blocks.o, rows.o));
    EXPECT_TRUE(SameBits(blocks.lse, rows.lse));
  });
}

// The last query of a sequence alone, with all keys before it, equals the same query among its sequence: decoding
// equals training. And what other sequences share the call does not matter.
TEST(Attention, RowsDoNotDependOnTheirNeighbours) {
  const Shape whole{.queries = {90, 31}, .keys = {90, 31}, .heads = 4, .key_heads = 2, .key_dim = 48, .value_dim = 32};
  ThreadPool pool(2);
  Problem<float> problem(whole, 9);
  const Kernels& cpu = KernelsFor("cpu");
  cpu.attention(problem.args, pool);
  const std::vector<float> o = problem.o;
  for (int32_t row : {0, 1, 15, 16, 17, 63, 64, 89}) {
    const int32_t query_start[] = {0, 1}, key_count[] = {row + 1};
    AttentionArgs one = problem.args;
    one.sequences = 1;
    one.query_start = query_start;
    one.key_count = key_count;
    one.q = problem.q.data() + row * one.q_stride;
    std::vector<float> out(static_cast<size_t>(one.o_stride));
    one.o = out.data();
    one.lse = nullptr;
    cpu.attention(one, pool);
    const std::vector<float> expected(o.begin() + row * one.o_stride, o.begin() + (row + 1) * one.o_stride);
    EXPECT_TRUE(SameBits(out, expected)) << "row " << row;
  }
}

}  // namespace
}  // namespace sputnik::testing
