// Typed access to small JSON objects of tokenizer files, with errors (bad input) that name the file and the place.
// Heavy to compile (base/json.h): include in .cc files only.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace sputnik {

class JsonView {
 public:
  // `json` and `source` must outlive the view.
  JsonView(const Json& json, std::string place, const std::string& source);

  const std::string& place() const { return place_; }
  const std::string& source() const { return source_; }

  const Json& Get(const char* key) const;  // null if it is missing
  std::string String(const char* key) const;
  bool Bool(const char* key, bool missing) const;
  int64_t Whole(const char* key, int64_t least, int64_t most) const;
  std::string Character(const char* key) const;  // a string of one character
  const Json& Array(const char* key) const;

  // A pattern, {"String": …} or {"Regex": …}: the text and whether it is a plain string.
  std::pair<std::string, bool> Pattern(const char* key) const;

  // Refuses a value that is none of those allowed, and keys that are none of those known: what is not understood may
  // change ids.
  template <class... Values>
  void Refuse(const char* key, const Values&... allowed) const {
    const Json& value = Get(key);
    if (((value == Json(allowed)) || ...)) return;
    RefuseValue(key, value);
  }
  void KnowsOnly(std::initializer_list<std::string_view> keys) const;

 private:
  [[noreturn]] void RefuseValue(const char* key, const Json& value) const;

  const Json& json_;
  std::string place_;
  const std::string& source_;
};

}  // namespace sputnik
