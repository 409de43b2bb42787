#include "tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {

Arena::Arena(int64_t limit) : limit_(limit) {
  CHECK_GT(limit, 0);
  void* memory = ::mmap(nullptr, static_cast<size_t>(limit), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) ThrowFailure("cannot reserve {} MiB of address space for activations", limit >> 20);
  ::madvise(memory, static_cast<size_t>(limit), MADV_HUGEPAGE);
  memory_ = static_cast<std::byte*>(memory);
}

Arena::~Arena() { ::munmap(memory_, static_cast<size_t>(limit_)); }

void* Arena::Allocate(int64_t bytes) {
  CHECK_GE(bytes, 0);
  // Compared before rounding up, which could overflow.
  const int64_t free = limit_ - used_;
  if (bytes > free || (bytes + 63) / 64 * 64 > free) {
    ThrowFailure(
        "out of memory for activations: {} MiB in use, {} MiB more needed, limit {} MiB; use a smaller "
        "batch or turn on recomputation",
        used_ >> 20, bytes >> 20, limit_ >> 20);
  }
  const int64_t rounded = (bytes + 63) / 64 * 64;
  void* place = memory_ + used_;
  used_ += rounded;
  high_water_ = std::max(high_water_, used_);
  return place;
}

void Arena::Release(int64_t mark) {
  CHECK_GE(mark, 0);
  CHECK_LE(mark, used_);
  used_ = mark;
}

}  // namespace sputnik
