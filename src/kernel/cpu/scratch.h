// Memory that a worker reuses from task to task of one call.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace sputnik::cpu {

class ScratchBuffer {
 public:
  // At least `count` floats, 64-byte aligned, not cleared; what an earlier Get returned is gone.
  float* Get(int64_t count) {
    if (count > capacity_) {
      memory_.reset();
      capacity_ = 0;  // if there is no memory, nothing is left
      const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64;
      memory_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
      if (memory_ == nullptr) throw std::bad_alloc();
      capacity_ = count;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory_;
  int64_t capacity_ = 0;
};

}  // namespace sputnik::cpu
