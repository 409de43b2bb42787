// A chat template at work: its statements carried out, what they print gathered.
#pragma once

#include <cstdint>

#include "text/jinja_heap.h"
#include "text/jinja_parser.h"

namespace sputnik::jinja {

inline constexpr size_t kLargestOutput = size_t{1} << 20;
inline constexpr int64_t kMostSteps = 1'000'000;  // about 100 ms
inline constexpr int64_t kMostMemory = int64_t{64} << 20;

// What `block` prints, with the marks of its bytes. `variables` is a dict; `now` is what strftime_now tells, in seconds
// since 1970. Throws Error (bad input) that starts with "line N: ": what jinja2 would refuse, what is not supported,
// more than kLargestOutput, and what the heap refuses.
Text Run(Heap& heap, const Block& block, const Dict& variables, int64_t now);

}  // namespace sputnik::jinja
