// Values of chat templates as text: as Python's str and repr print them, and as JSON in the way of the transformers
// library's filter `tojson`; and JSON read into values.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja_heap.h"

namespace sputnik::jinja {

// What {{ value }} prints. Throws Error for what prints differently each time, such as a function.
Text Display(Heap& heap, const Value& value);
Text Repr(Heap& heap, const Value& value);

struct JsonStyle {
  bool ascii = false;  // other characters as \uXXXX
  bool sorted = false;
  std::optional<std::string> indent;  // of one level; without it all stands on one line
  Text item_separator, key_separator;
};
// Throws Error for what JSON cannot say: something undefined, a function, a key that is no text and no number.
Text ToJson(Heap& heap, const Value& value, const JsonStyle& style);

// Texts get the mark; keys stay in order, of two equal ones the later value counts. Throws Error (bad input) starting
// with `source` for what is not JSON, is nested too deeply or has a whole number beyond 64 bits.
Value ReadJson(Heap& heap, std::string_view json, std::string_view source, char mark);

}  // namespace sputnik::jinja
