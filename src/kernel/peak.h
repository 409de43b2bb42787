// What this machine's processors can do at most, measured: the yardstick for shares of peak.
#pragma once

#include "base/thread_pool.h"

namespace sputnik {

// Float32 operations per second of all the pool's threads together, a fused multiply-add counting two: chains of
// multiply-adds in registers, in the SIMD target in use. The best of some short rounds; takes about 50 ms.
double MeasurePeakFlops(ThreadPool& pool);

// Bytes per second that all the pool's threads together read from memory, from a buffer larger than caches. Takes up to
// `bytes` of memory and about 100 ms. Throws Error (failure) when there is not as much memory.
double MeasureReadBandwidth(ThreadPool& pool, int64_t bytes = int64_t{256} << 20);

}  // namespace sputnik
