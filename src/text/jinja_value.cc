#include "text/jinja_value.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_compare.h"

namespace sputnik::jinja {

Value Undefined(const std::string* name) {
  Value value;
  value.name = name;
  return value;
}
Value None() {
  Value value;
  value.kind = Kind::kNone;
  return value;
}
Value Bool(bool b) {
  Value value;
  value.kind = Kind::kBool;
  value.boolean = b;
  return value;
}
Value Int(int64_t i) {
  Value value;
  value.kind = Kind::kInt;
  value.integer = i;
  return value;
}
Value Float(double f) {
  Value value;
  value.kind = Kind::kFloat;
  value.number = f;
  return value;
}

const Value* Dict::Find(std::string_view key) const {
  const auto found = by_text.find(key);
  return found == by_text.end() ? nullptr : &entries[found->second].second;
}

const Value* Dict::Find(const Value& key) const {
  if (key.IsText()) return Find(key.text->bytes);
  if (by_text.size() == entries.size()) return nullptr;
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return Equal(e.first, key); });
  return found == entries.end() ? nullptr : &found->second;
}

void Dict::Set(const Value& key, const Value& value) {
  if (const Value* old = Find(key)) {
    *const_cast<Value*>(old) = value;
    return;
  }
  if (key.IsText()) by_text.emplace(key.text->bytes, entries.size());
  entries.emplace_back(key, value);
}

std::string_view TypeName(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined: return "undefined";
    case Kind::kNone: return "None";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kText: return "str";
    case Kind::kList: return "list";
    case Kind::kTuple: return "tuple";
    case Kind::kDict: return "dict";
    case Kind::kView: return value.view->type;
    case Kind::kStream: return "generator";
    case Kind::kNamespace: return "namespace";
    case Kind::kLoop: return "loop";
    case Kind::kMacro: return "macro";
    case Kind::kFunction: return "function";
  }
  return "?";
}

int64_t Length(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined: return 0;
    case Kind::kText: return Characters(value.text->bytes).count();
    case Kind::kList:
    case Kind::kTuple: return static_cast<int64_t>(value.list->items.size());
    case Kind::kDict: return static_cast<int64_t>(value.dict->entries.size());
    case Kind::kView: return static_cast<int64_t>(value.view->items.size());
    case Kind::kLoop: return static_cast<int64_t>(value.loop->items.size());
    default: ThrowBadInput("a value of type {} has no length", TypeName(value));
  }
}

}  // namespace sputnik::jinja
