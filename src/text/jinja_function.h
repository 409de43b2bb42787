// What chat templates can reach with a dot and call: the methods of texts, lists and dicts that change nothing, and the
// functions range, dict, namespace, raise_exception and strftime_now. What would change a list or a dict is not there,
// as in transformers' sandbox, nor is any name with an underscore in front.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_arguments.h"
#include "text/jinja_heap.h"

namespace sputnik::jinja {

// object.name: a method or, failing that, the dict's or namespace's entry. `name` outlives the heap.
Value Attribute(Heap& heap, const Value& object, const std::string& name);
// object[key]: the entry or, failing that, the method.
Value Subscript(Heap& heap, const Value& object, const Value& key);

// A function by its global name; undefined when there is none.
Value GlobalFunction(Heap& heap, const std::string& name);

// `now`: seconds since 1970, for strftime_now, in local time. Throws Error for raise_exception, with its message.
Value CallFunction(Heap& heap, const Function& function, const Arguments& arguments, int64_t now);

}  // namespace sputnik::jinja
