#include "text/jinja_arguments.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_compare.h"

namespace sputnik::jinja {

Bound::Bound(std::string_view what, const Arguments& arguments, std::initializer_list<std::string_view> parameters,
             size_t needed)
    : what_(what), parameters_(parameters), values_(parameters.size()) {
  if (arguments.plain.size() > parameters.size()) {
    ThrowBadInput("{} takes at most {} arguments, not {}", what, parameters.size(), arguments.plain.size());
  }
  std::copy(arguments.plain.begin(), arguments.plain.end(), values_.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters_.begin(), parameters_.end(), name);
    if (found == parameters_.end()) ThrowBadInput("{} has no argument {}", what, name);
    std::optional<Value>& place = values_[static_cast<size_t>(found - parameters_.begin())];
    if (place) ThrowBadInput("{} is given {} twice", what, name);
    place = value;
  }
  for (size_t i = 0; i < needed; ++i) {
    if (!values_[i]) ThrowBadInput("{} needs the argument {}", what, parameters_[i]);
  }
}

int64_t Bound::Whole(size_t i, int64_t fallback) const {
  if (!Has(i)) return fallback;
  if (!values_[i]->IsWhole()) ThrowBadInput("{}: {} must be a whole number", what_, parameters_[i]);
  return values_[i]->AsWhole();
}

bool Bound::Flag(size_t i, bool fallback) const { return Has(i) ? Truth(*values_[i]) : fallback; }

const Text& Bound::String(size_t i) const {
  if (!Has(i) || !values_[i]->IsText()) ThrowBadInput("{}: {} must be a str", what_, parameters_[i]);
  return *values_[i]->text;
}

}  // namespace sputnik::jinja
