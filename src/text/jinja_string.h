// The methods of a template's texts, as Python's str has them.
#pragma once

#include <string_view>

#include "text/jinja_arguments.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {

bool IsStringMethod(std::string_view name);  // Python has it, supported here or not

// Counts the work of looking for a part of so many bytes in a text of so many.
void CountSearch(Heap& heap, size_t text, size_t part);

// Throws Error for wrong arguments, for a method that is not supported, and where Python would throw.
Value CallStringMethod(Heap& heap, const Text& self, std::string_view name, const Arguments& arguments);

}  // namespace sputnik::jinja
