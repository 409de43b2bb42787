// How values of chat templates compare, as in Python.
#pragma once

#include "text/jinja_heap.h"

namespace sputnik::jinja {

bool Truth(const Value& value);
// Where a heap is given, the work is counted. Throws Error for values nested too deeply.
bool Equal(const Value& a, const Value& b, Heap* heap = nullptr);
bool Same(const Value& a, const Value& b);  // Python's `is`
bool Less(const Value& a, const Value& b,
          Heap* heap = nullptr);  // throws Error for what has no order, such as text and numbers
bool Contains(Heap& heap, const Value& all, const Value& one);  // `one in all`

// Lists deeper than this are refused by whatever would have to go through them.
inline constexpr int kDeepestValue = 100;

}  // namespace sputnik::jinja
