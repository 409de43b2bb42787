// What one trip through the model carries. With a tape it trains; without one it only computes. A pass owns nothing:
// its tensors live in the arena and die with the arena's mark.
#pragma once

#include <initializer_list>
#include <utility>

#include "base/thread_pool.h"
#include "kernel/kernels.h"
#include "op/tape.h"
#include "tensor/arena.h"
#include "tensor/tensor.h"

namespace sputnik {

// Where a pass computes.
struct Machine {
  const Kernels& kernels;
  ThreadPool& pool;
};

class Pass {
 public:
  Pass(const Machine& machine, Arena& memory, Tape* tape = nullptr)
      : kernels(machine.kernels), pool(machine.pool), arena(memory), tape_(tape) {}

  const Kernels& kernels;
  ThreadPool& pool;
  Arena& arena;

  bool recording() const { return tape_ != nullptr; }
  bool recomputing() const { return recomputing_; }

  // A new tensor for an op's output; it has a gradient when the pass records.
  Tensor New(DType dtype, std::initializer_list<int64_t> shape) {
    return Tensor::New(arena, dtype, shape, recording());
  }

  // Records `backward` when the pass has a tape; one branch otherwise.
  template <class F>
  void Backward(F&& backward) {
    if (tape_ != nullptr) tape_->Record(std::forward<F>(backward));
  }

  // y = block(pass, x), y shaped like x. Of a recorded block only x and y are kept: backward runs the block again
  // (gradient checkpointing, Chen et al. 2016). Trades one forward for the block's activations.
  template <class F>
  Tensor Recompute(Tensor x, F block);

 private:
  Tape* tape_;
  bool recomputing_ = false;
};

template <class F>
Tensor Pass::Recompute(Tensor x, F block) {
  if (!recording()) return block(*this, x);
  const int64_t rows = x.size(0), columns = x.size(1);
  Tensor y = New(x.dtype(), {rows, columns});
  const auto copy_into = [rows, columns](const Pass& pass, const Tensor& from, const Tensor& to) {
    pass.kernels.copy({.dtype = from.dtype(),
                       .rows = rows,
                       .columns = columns,
                       .a = from.data(),
                       .a_stride = from.stride(0),
                       .y = to.data(),
                       .y_stride = to.stride(0)},
                      pass.pool);
  };
  {
    const ArenaScope scope(arena);
    Pass silent({kernels, pool}, arena, nullptr);
    copy_into(*this, block(silent, x.Detached()), y);
  }
  Backward([machine = Machine{kernels, pool}, &arena = arena, x, y, block, copy_into] {
    // Both gradients must outlive the scope below.
    x.Gradient(arena);
    const Tensor dy = y.Gradient(arena);
    const ArenaScope scope(arena);
    Tape tape(arena);
    Pass again(machine, arena, &tape);
    again.recomputing_ = true;
    const Tensor y2 = block(again, x);
    copy_into(again, dy, y2.Gradient(arena));
    tape.Backward();
  });
  return y;
}

}  // namespace sputnik
