// A view of numbers: data, type, up to four sizes and strides (the last stride is one), and the gradient slot of the
// tensor it was cut from. A view of a tensor has the same view of its gradient, so slicing records nothing on a tape.
// A Tensor owns nothing and is cheap to copy.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/check.h"
#include "tensor/arena.h"
#include "tensor/dtype.h"

namespace sputnik {

// The gradient of a root tensor, made when a backward first touches it: zeros of the root's type and element count.
// Gradients are always added to.
struct GradientSlot {
  void* data = nullptr;
  int64_t elements = 0;
  DType dtype = DType::kF32;

  void* Materialise(Arena& arena);
};

class Tensor {
 public:
  static constexpr int kMaxRank = 4;

  Tensor() = default;
  // A contiguous view of `data`.
  Tensor(void* data, DType dtype, std::initializer_list<int64_t> shape, GradientSlot* gradient = nullptr);

  // Uncleared arena memory; `with_gradient` gives it a slot, so that ops recorded on a tape can reach its gradient.
  static Tensor New(Arena& arena, DType dtype, std::initializer_list<int64_t> shape, bool with_gradient = false);
  static Tensor Zeros(Arena& arena, DType dtype, std::initializer_list<int64_t> shape, bool with_gradient = false);

  bool defined() const { return data_ != nullptr; }
  int rank() const { return rank_; }
  int64_t size(int axis) const { return size_[Axis(axis)]; }      // negative axes count from the end
  int64_t stride(int axis) const { return stride_[Axis(axis)]; }  // in elements
  int64_t elements() const;
  DType dtype() const { return dtype_; }
  bool contiguous() const;
  void* data() const { return data_; }

  template <class T>
  T* as() const {
    CHECK(DTypeOf<T>() == dtype_);
    return static_cast<T*>(data_);
  }
  // All elements of a contiguous tensor.
  template <class T>
  std::span<T> span() const {
    CHECK(contiguous());
    return {as<T>(), static_cast<size_t>(elements())};
  }

  Tensor Slice(int axis, int64_t begin, int64_t length) const;
  Tensor View(std::initializer_list<int64_t> shape) const;  // of a contiguous tensor
  // Rows of an [a, b*c] matrix seen as [a, b, c]: splits the last axis; strides stay.
  Tensor SplitLast(int64_t outer, int64_t inner) const;

  bool has_gradient() const { return gradient_ != nullptr; }
  // The same view of the root's gradient; materialises it. Only with has_gradient().
  Tensor Gradient(Arena& arena) const;
  // The same data without a gradient: what is computed from it does not flow back.
  Tensor Detached() const;

 private:
  int Axis(int axis) const {
    const int a = axis < 0 ? axis + rank_ : axis;
    CHECK(a >= 0 && a < rank_);
    return a;
  }

  void* data_ = nullptr;
  GradientSlot* gradient_ = nullptr;
  int64_t offset_ = 0;  // of data_ from the root's first element
  std::array<int64_t, kMaxRank> size_{}, stride_{};
  int rank_ = 0;
  DType dtype_ = DType::kF32;
};

}  // namespace sputnik
