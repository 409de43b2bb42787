#include "op/logprob.h"

#include <algorithm>

namespace sputnik {
namespace {

// Rows of logits held at once: about 1 MiB, which stays in a core's second-level cache.
int64_t ChunkRows(int64_t rows, int64_t vocabulary) {
  return std::clamp<int64_t>((int64_t{1} << 18) / vocabulary, 16, std::max<int64_t>(rows, 16));
}

struct Chunk {
  Tensor hidden, logits;
};

Chunk ComputeLogits(const Kernels& kernels, ThreadPool& pool, const Tensor& hidden, const Tensor& head, int64_t row,
                    const Tensor& buffer) {
  const int64_t rows = std::min(buffer.size(0), hidden.size(0) - row);
  const Chunk chunk{hidden.Slice(0, row, rows), buffer.Slice(0, 0, rows)};
  kernels.linear({.dtype = hidden.dtype(),
                  .weight_dtype = head.dtype(),
                  .rows = rows,
                  .outputs = head.size(0),
                  .inputs = head.size(1),
                  .x = chunk.hidden.data(),
                  .x_stride = hidden.stride(0),
                  .w = head.data(),
                  .w_stride = head.stride(0),
                  .y = chunk.logits.data(),
                  .y_stride = chunk.logits.stride(0)},
                 pool);
  return chunk;
}

void* At(const Tensor& vector, int64_t row) {
  return vector.defined() ? static_cast<std::byte*>(vector.data()) + row * SizeOf(vector.dtype()) : nullptr;
}

LogSoftmaxArgs RowArgs(const Tensor& logits, const int32_t* targets, const LogProbs& out, int64_t row,
                       double inverse_temperature) {
  return {.dtype = logits.dtype(),
          .rows = logits.size(0),
          .columns = logits.size(1),
          .logits = logits.data(),
          .logits_stride = logits.stride(0),
          .inverse_temperature = inverse_temperature,
          .targets = targets + row,
          .logprob = At(out.logprob, row),
          .lse = At(out.lse, row),
          .entropy = At(out.entropy, row)};
}

LogProbs NewLogProbs(Pass& pass, DType dtype, int64_t rows, bool with_entropy) {
  return {.logprob = pass.New(dtype, {rows}),
          .lse = Tensor::New(pass.arena, dtype, {rows}),
          .entropy = with_entropy ? Tensor::New(pass.arena, dtype, {rows}) : Tensor()};
}

}  // namespace

LogProbs LogProb(Pass& pass, const Tensor& hidden, const Tensor& head, const int32_t* targets,
                 double inverse_temperature, bool with_entropy) {
  const int64_t rows = hidden.size(0), vocabulary = head.size(0);
  const LogProbs out = NewLogProbs(pass, hidden.dtype(), rows, with_entropy);
  {
    const ArenaScope scope(pass.arena);
    const Tensor buffer = Tensor::New(pass.arena, hidden.dtype(), {ChunkRows(rows, vocabulary), vocabulary});
    for (int64_t row = 0; row < rows; row += buffer.size(0)) {
      const Chunk chunk = ComputeLogits(pass.kernels, pass.pool, hidden, head, row, buffer);
      pass.kernels.log_softmax(RowArgs(chunk.logits, targets, out, row, inverse_temperature), pass.pool);
    }
  }
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, hidden, head, targets, out,
                 inverse_temperature] {
    const Tensor seed = out.logprob.Gradient(arena);
    const Tensor dhidden = hidden.has_gradient() ? hidden.Gradient(arena) : Tensor();
    const Tensor dhead = head.has_gradient() ? head.Gradient(arena) : Tensor();
    const ArenaScope scope(arena);
    const Tensor buffer = Tensor::New(arena, hidden.dtype(), {ChunkRows(hidden.size(0), head.size(0)), head.size(0)});
    for (int64_t row = 0; row < hidden.size(0); row += buffer.size(0)) {
      const Chunk chunk = ComputeLogits(kernels, pool, hidden, head, row, buffer);
      const Tensor& logits = chunk.logits;
      kernels.log_softmax_backward({.dtype = logits.dtype(),
                                    .rows = logits.size(0),
                                    .columns = logits.size(1),
                                    .logits = logits.data(),
                                    .logits_stride = logits.stride(0),
                                    .inverse_temperature = inverse_temperature,
                                    .targets = targets + row,
                                    .lse = At(out.lse, row),
                                    .dlogprob = At(seed, row)},
                                   pool);
      LinearArgs args{.dtype = logits.dtype(),
                      .weight_dtype = head.dtype(),
                      .rows = logits.size(0),
                      .outputs = head.size(0),
                      .inputs = head.size(1),
                      .w_stride = head.stride(0),
                      .y = logits.data(),
                      .y_stride = logits.stride(0),
                      .accumulate = true};
      if (dhidden.defined()) {
        args.x = dhidden.Slice(0, row, logits.size(0)).data();
        args.x_stride = dhidden.stride(0);
        args.w = head.data();
        kernels.linear_backward_input(args, pool);
      }
      if (dhead.defined()) {
        args.x = chunk.hidden.data();
        args.x_stride = hidden.stride(0);
        args.w = dhead.data();
        args.weight_dtype = dhead.dtype();
        kernels.linear_backward_weight(args, pool);
      }
    }
  });
  return out;
}

Tensor Logits(Pass& pass, const Tensor& hidden, const Tensor& head) {
  CHECK(!pass.recording());
  const Tensor logits = Tensor::New(pass.arena, hidden.dtype(), {hidden.size(0), head.size(0)});
  if (hidden.size(0) > 0) ComputeLogits(pass.kernels, pass.pool, hidden, head, 0, logits);
  return logits;
}

LogProbs LogProbOfLogits(Pass& pass, const Tensor& logits, const int32_t* targets, double inverse_temperature,
                         bool with_entropy) {
  CHECK(!pass.recording());
  const LogProbs out = NewLogProbs(pass, logits.dtype(), logits.size(0), with_entropy);
  pass.kernels.log_softmax(RowArgs(logits, targets, out, 0, inverse_temperature), pass.pool);
  return out;
}

}  // namespace sputnik
