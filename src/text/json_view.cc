#include "text/json_view.h"

#include <algorithm>

#include "text/unicode.h"

namespace sputnik {

JsonView::JsonView(const Json& json, std::string place, const std::string& source)
    : json_(json), place_(std::move(place)), source_(source) {
  if (!json_.is_object()) ThrowBadInput("{}: {} is missing or not an object", source_, place_);
}

const Json& JsonView::Get(const char* key) const {
  static const Json kNull;
  const auto found = json_.find(key);
  return found == json_.end() ? kNull : *found;
}

std::string JsonView::String(const char* key) const {
  const Json& value = Get(key);
  if (!value.is_string()) ThrowBadInput("{}: {}.{} is missing or not a string", source_, place_, key);
  return value.get<std::string>();
}

bool JsonView::Bool(const char* key, bool missing) const {
  const Json& value = Get(key);
  if (value.is_null()) return missing;
  if (!value.is_boolean()) ThrowBadInput("{}: {}.{} is not true or false", source_, place_, key);
  return value.get<bool>();
}

int64_t JsonView::Whole(const char* key, int64_t least, int64_t most) const {
  const Json& value = Get(key);
  if (!value.is_number_integer() || value < least || value > most) {
    ThrowBadInput("{}: {}.{} = {} is not a whole number from {} to {}", source_, place_, key, value.dump(), least,
                  most);
  }
  return value.get<int64_t>();
}

std::string JsonView::Character(const char* key) const {
  std::string text = String(key);
  if (text.empty() || static_cast<size_t>(DecodeUtf8(text).length) != text.size()) {
    ThrowBadInput("{}: {}.{} = \"{}\" is not one character", source_, place_, key, text);
  }
  return text;
}

const Json& JsonView::Array(const char* key) const {
  const Json& value = Get(key);
  if (!value.is_array()) ThrowBadInput("{}: {}.{} is missing or not an array", source_, place_, key);
  return value;
}

std::pair<std::string, bool> JsonView::Pattern(const char* key) const {
  const JsonView pattern(Get(key), fmt::format("{}.{}", place_, key), source_);
  pattern.KnowsOnly({"String", "Regex"});
  const bool literal = !pattern.Get("String").is_null();
  return {pattern.String(literal ? "String" : "Regex"), literal};
}

void JsonView::KnowsOnly(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : json_.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) RefuseValue(key.c_str(), value);
  }
}

void JsonView::RefuseValue(const char* key, const Json& value) const {
  constexpr size_t kShown = 80;
  std::string shown = value.dump();
  if (shown.size() > kShown) shown = ReplaceInvalidUtf8(shown.substr(0, kShown)) + "...";
  ThrowBadInput("{}: {}.{} = {} is not supported", source_, place_, key, shown);
}

}  // namespace sputnik
