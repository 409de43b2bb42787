// What a call in a chat template passes to a function, method, filter or test.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_heap.h"

namespace sputnik::jinja {

struct Arguments {
  std::vector<Value> plain;
  std::vector<std::pair<std::string, Value>> named;
};

// The arguments in the order of a function's parameters.
class Bound {
 public:
  // Throws Error naming `what` when there are too many, one is not known or is there twice, or one of the first
  // `needed` is missing.
  Bound(std::string_view what, const Arguments& arguments, std::initializer_list<std::string_view> parameters,
        size_t needed = 0);

  bool Has(size_t i) const { return values_[i].has_value(); }
  const Value& operator[](size_t i) const { return *values_[i]; }  // which must be there
  bool IsNone(size_t i) const { return !Has(i) || values_[i]->is(Kind::kNone); }
  // These throw Error when a value of another type is there.
  int64_t Whole(size_t i, int64_t fallback) const;
  bool Flag(size_t i, bool fallback) const;
  const Text& String(size_t i) const;

 private:
  std::string what_;
  std::vector<std::string_view> parameters_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace sputnik::jinja
