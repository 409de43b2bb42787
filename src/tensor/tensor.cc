#include "tensor/tensor.h"

#include <cstring>
#include <limits>

namespace sputnik {
namespace {

// The product of the sizes, or the largest number there is where that overflows: no arena can hold it, and says so.
int64_t CountElements(std::initializer_list<int64_t> shape) {
  int64_t count = 1;
  bool overflow = false, empty = false;
  for (const int64_t size : shape) {
    CHECK_GE(size, 0);
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(count, size, &count);
  }
  if (empty) return 0;
  return overflow ? std::numeric_limits<int64_t>::max() : count;
}

int64_t BytesOf(int64_t elements, DType dtype) { return Arena::BytesFor(elements, static_cast<size_t>(SizeOf(dtype))); }

}  // namespace

void* GradientSlot::Materialise(Arena& arena) {
  if (data == nullptr) {
    const int64_t bytes = BytesOf(elements, dtype);
    data = arena.Allocate(bytes);
    std::memset(data, 0, static_cast<size_t>(bytes));
  }
  return data;
}

Tensor::Tensor(void* data, DType dtype, std::initializer_list<int64_t> shape, GradientSlot* gradient)
    : data_(data), gradient_(gradient), rank_(static_cast<int>(shape.size())), dtype_(dtype) {
  CHECK(shape.size() >= 1 && shape.size() <= kMaxRank);
  int axis = 0;
  for (const int64_t size : shape) size_[static_cast<size_t>(axis++)] = size;
  int64_t stride = 1;
  for (int i = rank_ - 1; i >= 0; --i) {
    stride_[static_cast<size_t>(i)] = stride;
    stride *= size_[static_cast<size_t>(i)];
  }
}

Tensor Tensor::New(Arena& arena, DType dtype, std::initializer_list<int64_t> shape, bool with_gradient) {
  const int64_t elements = CountElements(shape);
  GradientSlot* slot = nullptr;
  if (with_gradient) {
    slot = arena.New<GradientSlot>(1);
    *slot = {.data = nullptr, .elements = elements, .dtype = dtype};
  }
  return Tensor(arena.Allocate(BytesOf(elements, dtype)), dtype, shape, slot);
}

Tensor Tensor::Zeros(Arena& arena, DType dtype, std::initializer_list<int64_t> shape, bool with_gradient) {
  Tensor tensor = New(arena, dtype, shape, with_gradient);
  std::memset(tensor.data_, 0, static_cast<size_t>(tensor.elements() * SizeOf(dtype)));
  return tensor;
}

int64_t Tensor::elements() const {
  int64_t count = 1;
  for (int i = 0; i < rank_; ++i) count *= size_[static_cast<size_t>(i)];
  return count;
}

bool Tensor::contiguous() const {
  if (elements() == 0) return true;  // also a slice of no rows, whatever its strides
  int64_t expected = 1;
  for (int i = rank_ - 1; i >= 0; --i) {
    if (size_[static_cast<size_t>(i)] != 1 && stride_[static_cast<size_t>(i)] != expected) return false;
    expected *= size_[static_cast<size_t>(i)];
  }
  return true;
}

Tensor Tensor::Slice(int axis, int64_t begin, int64_t length) const {
  const auto a = static_cast<size_t>(Axis(axis));
  CHECK(begin >= 0 && length >= 0 && begin + length <= size_[a]);
  Tensor view = *this;
  const int64_t shift = begin * stride_[a];
  view.data_ = static_cast<std::byte*>(data_) + shift * SizeOf(dtype_);
  view.offset_ += shift;
  view.size_[a] = length;
  return view;
}

Tensor Tensor::View(std::initializer_list<int64_t> shape) const {
  CHECK(contiguous());
  Tensor view(data_, dtype_, shape, gradient_);
  CHECK_EQ(view.elements(), elements());
  view.offset_ = offset_;
  return view;
}

Tensor Tensor::SplitLast(int64_t outer, int64_t inner) const {
  CHECK_LT(rank_, kMaxRank);
  CHECK_EQ(size(-1), outer * inner);
  Tensor view = *this;
  const auto last = static_cast<size_t>(rank_ - 1);
  view.size_[last] = outer;
  view.stride_[last] = inner;
  view.size_[last + 1] = inner;
  view.stride_[last + 1] = 1;
  ++view.rank_;
  return view;
}

Tensor Tensor::Gradient(Arena& arena) const {
  CHECK(gradient_ != nullptr);
  CHECK(gradient_->dtype == dtype_);
  Tensor view = *this;
  view.data_ = static_cast<std::byte*>(gradient_->Materialise(arena)) + offset_ * SizeOf(dtype_);
  view.gradient_ = nullptr;
  return view;
}

Tensor Tensor::Detached() const {
  Tensor view = *this;
  view.gradient_ = nullptr;
  view.offset_ = 0;
  return view;
}

}  // namespace sputnik
