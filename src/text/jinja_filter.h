// The filters of chat templates: jinja2's own, and tojson as transformers defines it.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_arguments.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {

// value|name(arguments). Throws Error for a filter that is not supported, naming it, and where jinja2 would throw.
Value ApplyFilter(Heap& heap, std::string_view name, const Value& value, const Arguments& arguments);

// "a.b.0" of a value, one step after another; a whole number is one step. What the argument `attribute` of filters
// does.
Value AttributePath(Heap& heap, const Value& value, const Value& path);

}  // namespace sputnik::jinja
