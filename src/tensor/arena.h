// Bump memory for everything that lives as long as one pass. Reserves address space once; the system backs it page by
// page as it is touched, so an unused part costs nothing. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace sputnik {

class Arena {
 public:
  // `limit` is the most bytes that may ever be in use; going over it throws Error naming the limit.
  explicit Arena(int64_t limit = int64_t{64} << 30);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, not cleared. Zero bytes give a valid, unusable pointer.
  void* Allocate(int64_t bytes);
  template <class T>
  T* New(int64_t count) {
    return static_cast<T*>(Allocate(BytesFor(count, sizeof(T))));
  }

  // count · size, or the largest number there is (which no arena holds) where that overflows.
  static int64_t BytesFor(int64_t count, size_t size) {
    int64_t bytes = 0;
    const bool overflow = __builtin_mul_overflow(count, static_cast<int64_t>(size), &bytes);
    return overflow && count > 0 ? std::numeric_limits<int64_t>::max() : bytes;
  }

  int64_t Mark() const { return used_; }
  void Release(int64_t mark);  // frees everything allocated since Mark() returned `mark`

  int64_t used() const { return used_; }
  int64_t high_water() const { return high_water_; }

 private:
  std::byte* memory_ = nullptr;
  int64_t limit_, used_ = 0, high_water_ = 0;
};

// Releases on leaving the scope what was allocated inside it.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.Mark()) {}
  ~ArenaScope() { arena_.Release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  int64_t mark_;
};

}  // namespace sputnik
