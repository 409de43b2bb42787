#include "op/linear.h"

#include <algorithm>

namespace sputnik {
namespace {

LinearArgs ArgsFor(const Tensor& x, const Tensor& w, const Tensor& y) {
  return {.dtype = x.dtype(),
          .weight_dtype = w.dtype(),
          .rows = x.size(0),
          .outputs = w.size(0),
          .inputs = w.size(1),
          .x = x.data(),
          .x_stride = x.stride(0),
          .w = w.data(),
          .w_stride = w.stride(0),
          .y = y.data(),
          .y_stride = y.stride(0)};
}

struct Grouped {
  int64_t groups;
  const int32_t* group_start;
  void** pointers;
};

GroupedLinearArgs ArgsFor(const Grouped& grouped, const Tensor& x, const Tensor& w0, const Tensor& y) {
  return {.dtype = x.dtype(),
          .weight_dtype = w0.dtype(),
          .groups = grouped.groups,
          .group_start = grouped.group_start,
          .outputs = w0.size(0),
          .inputs = w0.size(1),
          .x = x.data(),
          .x_stride = x.stride(0),
          .w = grouped.pointers,
          .w_stride = w0.stride(0),
          .y = y.data(),
          .y_stride = y.stride(0)};
}

// Records after the product; a tape runs backwards, so that of several products the last comes first. With `add`, y is
// added to: either way its gradient is the product's.
void LinearInto(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y, bool add = false) {
  CHECK_EQ(x.rank(), 2);
  CHECK_EQ(w.rank(), 2);
  CHECK_EQ(x.size(1), w.size(1));
  CHECK_EQ(y.size(1), w.size(0));
  LinearArgs forward = ArgsFor(x, w, y);
  forward.accumulate = add;
  pass.kernels.linear(forward, pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, x, w, y] {
    const Tensor dy = y.Gradient(arena);
    if (x.has_gradient()) {
      LinearArgs args = ArgsFor(x.Gradient(arena), w, dy);
      args.accumulate = true;
      kernels.linear_backward_input(args, pool);
    }
    if (w.has_gradient()) {
      LinearArgs args = ArgsFor(x, w.Gradient(arena), dy);
      args.accumulate = true;
      kernels.linear_backward_weight(args, pool);
    }
  });
}

void GroupedLinearInto(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, std::span<const Tensor> w,
                       const Tensor& y, bool add = false) {
  CHECK(!w.empty());
  CHECK_EQ(group_start.size(), w.size() + 1);
  const Tensor w0 = w[0];
  const auto groups = static_cast<int64_t>(w.size());
  const Grouped weights{groups, group_start.data(), pass.arena.New<void*>(groups)};
  for (int64_t g = 0; g < groups; ++g) weights.pointers[g] = w[static_cast<size_t>(g)].data();
  GroupedLinearArgs forward = ArgsFor(weights, x, w0, y);
  forward.accumulate = add;
  pass.kernels.grouped_linear(forward, pass.pool);
  if (!pass.recording()) return;
  Grouped gradients = weights;
  const bool learns = w0.has_gradient();
  if (learns) {
    gradients.pointers = pass.arena.New<void*>(groups);
    for (int64_t g = 0; g < groups; ++g) {
      gradients.pointers[g] = w[static_cast<size_t>(g)].Gradient(pass.arena).data();
    }
  }
  pass.Backward(
      [&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, x, y, w0, weights, gradients, learns] {
        const Tensor dy = y.Gradient(arena);
        if (x.has_gradient()) {
          GroupedLinearArgs args = ArgsFor(weights, x.Gradient(arena), w0, dy);
          args.accumulate = true;
          kernels.grouped_linear_backward_input(args, pool);
        }
        if (learns) {
          GroupedLinearArgs args = ArgsFor(gradients, x, w0, dy);
          args.accumulate = true;
          kernels.grouped_linear_backward_weight(args, pool);
        }
      });
}

// y = scale · x.
Tensor Scaled(Pass& pass, const Tensor& x, double scale) {
  const Tensor y = Tensor::Zeros(pass.arena, x.dtype(), {x.size(0), x.size(1)}, pass.recording());
  const auto add = [scale](const Kernels& kernels, ThreadPool& pool, const Tensor& from, const Tensor& to) {
    kernels.add_to({.dtype = from.dtype(),
                    .rows = from.size(0),
                    .columns = from.size(1),
                    .a = from.data(),
                    .a_stride = from.stride(0),
                    .y = to.data(),
                    .y_stride = to.stride(0),
                    .scale = scale},
                   pool);
  };
  add(pass.kernels, pass.pool, x, y);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, add, x, y] {
    add(kernels, pool, y.Gradient(arena), x.Gradient(arena));
  });
  return y;
}

void HeadwiseUpInto(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y, bool add) {
  CHECK(!pass.recording());
  for (int64_t h = 0; h < w.size(0); ++h) {
    pass.kernels.linear({.dtype = x.dtype(),
                         .weight_dtype = w.dtype(),
                         .rows = x.size(0),
                         .outputs = w.size(1),
                         .inputs = w.size(2),
                         .x = x.Slice(1, h, 1).data(),
                         .x_stride = x.stride(0),
                         .w = w.Slice(0, h, 1).data(),
                         .w_stride = w.stride(1),
                         .y = y.Slice(1, h, 1).data(),
                         .y_stride = y.stride(0),
                         .accumulate = add},
                        pass.pool);
  }
}

// Rows [first, first + rows) of each head of w, whose heads lie one below another: [heads, rows, columns].
Tensor PerHead(const Tensor& w, int64_t heads, int64_t first, int64_t rows) {
  return w.View({heads, w.size(0) / heads, w.size(1)}).Slice(1, first, rows);
}

}  // namespace

Tensor Linear(Pass& pass, const Tensor& x, const Tensor& w) { return Linear(pass, x, {&w, 1}); }

Tensor Linear(Pass& pass, const Tensor& x, std::span<const Tensor> w) {
  int64_t end = 0;
  for (const Tensor& part : w) end += part.size(0);
  Tensor y = pass.New(x.dtype(), {x.size(0), end});
  // From the last to the first, so that on the way back dx is one chain over ascending outputs.
  for (size_t i = w.size(); i-- > 0;) {
    end -= w[i].size(0);
    LinearInto(pass, x, w[i], y.Slice(1, end, w[i].size(0)));
  }
  return y;
}

Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, std::span<const Tensor> w) {
  Tensor y = pass.New(x.dtype(), {x.size(0), w[0].size(0)});
  GroupedLinearInto(pass, x, group_start, w, y);
  return y;
}

Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start,
                     std::span<const std::vector<Tensor>> w) {
  int64_t end = 0;
  for (const std::vector<Tensor>& part : w) end += part[0].size(0);
  Tensor y = pass.New(x.dtype(), {x.size(0), end});
  for (size_t i = w.size(); i-- > 0;) {
    const int64_t outputs = w[i][0].size(0);
    end -= outputs;
    GroupedLinearInto(pass, x, group_start, w[i], y.Slice(1, end, outputs));
  }
  return y;
}

void AddLowRank(Pass& pass, const Tensor& x, const LowRank& w, const Tensor& y) {
  LinearInto(pass, Scaled(pass, Linear(pass, x, w.a), w.scale), w.b, y, true);
}

void AddGroupedLowRank(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, std::span<const LowRank> w,
                       const Tensor& y) {
  std::vector<Tensor> a, b;
  for (const LowRank& group : w) {
    a.push_back(group.a);
    b.push_back(group.b);
  }
  const Tensor narrow = Scaled(pass, GroupedLinear(pass, x, group_start, a), w[0].scale);
  GroupedLinearInto(pass, narrow, group_start, b, y, true);
}

void HeadwiseDown(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y) {
  CHECK(!pass.recording());
  for (int64_t h = 0; h < w.size(0); ++h) {
    // y = x · w[h] is linear_backward_input, whose output it calls x and whose input it calls y.
    pass.kernels.linear_backward_input({.dtype = x.dtype(),
                                        .weight_dtype = w.dtype(),
                                        .rows = x.size(0),
                                        .outputs = w.size(1),
                                        .inputs = w.size(2),
                                        .x = y.Slice(1, h, 1).data(),
                                        .x_stride = y.stride(0),
                                        .w = w.Slice(0, h, 1).data(),
                                        .w_stride = w.stride(1),
                                        .y = x.Slice(1, h, 1).data(),
                                        .y_stride = x.stride(0)},
                                       pass.pool);
  }
}

void HeadwiseUp(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y) { HeadwiseUpInto(pass, x, w, y, false); }

void AddLowRankDown(Pass& pass, const Tensor& x, const LowRank& w, int64_t first, const Tensor& y) {
  const int64_t tokens = x.size(0), heads = x.size(1), rank = w.a.size(0);
  CHECK_EQ(y.stride(0), heads * y.stride(1));  // so that (token, head) pairs are evenly spaced rows
  const Tensor narrow = pass.New(x.dtype(), {tokens, heads, rank});
  HeadwiseDown(pass, x, PerHead(w.b, heads, first, x.size(2)), narrow);
  const Tensor scaled = Scaled(pass, narrow.View({tokens * heads, rank}), w.scale);
  pass.kernels.linear_backward_input({.dtype = x.dtype(),
                                      .weight_dtype = w.a.dtype(),
                                      .rows = tokens * heads,
                                      .outputs = rank,
                                      .inputs = w.a.size(1),
                                      .x = y.data(),
                                      .x_stride = y.stride(1),
                                      .w = w.a.data(),
                                      .w_stride = w.a.stride(0),
                                      .y = scaled.data(),
                                      .y_stride = scaled.stride(0),
                                      .accumulate = true},
                                     pass.pool);
}

void AddLowRankUp(Pass& pass, const Tensor& x, const LowRank& w, int64_t first, const Tensor& y) {
  const int64_t tokens = x.size(0), heads = x.size(1), rank = w.a.size(0);
  const Tensor narrow = Scaled(pass, Linear(pass, x.View({tokens * heads, x.size(2)}), w.a), w.scale);
  HeadwiseUpInto(pass, narrow.View({tokens, heads, rank}), PerHead(w.b, heads, first, y.size(2)), y, true);
}

}  // namespace sputnik
