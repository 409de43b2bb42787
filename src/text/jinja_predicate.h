// The tests of chat templates: what may stand behind `is`, and what select and reject go by.
#pragma once

#include <string_view>

#include "text/jinja_arguments.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {

// value is name(arguments). Throws Error for a test that is not supported, naming it, and where jinja2 would throw.
bool Holds(Heap& heap, std::string_view name, const Value& value, const Arguments& arguments);

}  // namespace sputnik::jinja
