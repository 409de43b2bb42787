// What operators of chat templates do: Python's arithmetic, comparison and subscripts, with whole numbers of 64 bits.
#pragma once

#include "text/jinja_expression.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {

// Of operands already evaluated. Throws Error where Python would, and for results beyond 64 bits or the heap's budget.
Value Operate(Heap& heap, Operation operation, const Value& left, const Value& right);
Value Negative(const Value& value);
Value Positive(const Value& value);

// object[key] and object[first:last:step] (null: absent), without looking for methods: nullopt when nothing is there.
std::optional<Value> Item(Heap& heap, const Value& object, const Value& key);
Value Slice(Heap& heap, const Value& object, const Value* first, const Value* last, const Value* step);

// text % values, as Python's: %s %r %d %i %u %f %e %g %x %X %o %c %% with flags, width and precision.
Value FormatPercent(Heap& heap, const Text& format, const Value& values);

}  // namespace sputnik::jinja
