// Values of chat templates, with Python's meaning: what is true, equal, less, and how it prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja_text.h"

namespace sputnik::jinja {

// In this order: whole numbers and fractions compare with each other, and so does a truth value, as 0 or 1.
enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kList,
  kTuple,
  kDict,
  kView,    // what d.keys(), d.values(), d.items() and range() give: can be gone through again
  kStream,  // what filters such as map and select give: can be gone through once
  kNamespace,
  kLoop,
  kMacro,
  kFunction,
};

struct List;
struct Dict;
struct View;
struct Stream;
struct Loop;
struct Macro;  // text/jinja_eval.cc
struct Function;

// Cheap to copy; what it points to belongs to a Heap or to the template.
struct Value {
  Kind kind = Kind::kUndefined;
  union {
    const std::string* name;  // of what is undefined, or null
    bool boolean;
    int64_t integer;
    double number;
    const Text* text;
    const List* list;  // a tuple's too
    Dict* dict;        // a namespace's too; only a namespace's may change
    const View* view;
    Stream* stream;
    Loop* loop;
    const Macro* macro;
    const Function* function;
  };
  Value() : name(nullptr) {}
  Value(Kind k, const Text* t) : kind(k), text(t) {}
  bool is(Kind k) const { return kind == k; }
  bool IsText() const { return kind == Kind::kText; }
  bool IsUndefined() const { return kind == Kind::kUndefined; }
  bool IsNumber() const { return kind >= Kind::kBool && kind <= Kind::kFloat; }
  bool IsWhole() const { return kind == Kind::kBool || kind == Kind::kInt; }
  int64_t AsWhole() const { return kind == Kind::kBool ? int64_t{boolean} : integer; }
  double AsNumber() const { return kind == Kind::kFloat ? number : static_cast<double>(AsWhole()); }
};

Value Undefined(const std::string* name = nullptr);
Value None();
Value Bool(bool b);
Value Int(int64_t i);
Value Float(double f);

struct List {
  std::vector<Value> items;
};
struct View {
  std::string_view type;
  std::vector<Value> items;
};
struct Stream {
  std::vector<Value> items;
  size_t next = 0;
};
struct Loop {
  std::vector<Value> items;
  int64_t index0 = 0, depth0 = 0;
  const List* changed = nullptr;
};
struct Function {
  std::string_view name;
  Value self;
};  // a method with its object, or with `self` undefined a function

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in the order in which keys were first set
  std::unordered_map<std::string_view, size_t> by_text;

  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  void Set(const Value& key, const Value& value);
};

std::string_view TypeName(const Value& value);  // Python's, for messages

int64_t Length(const Value& value);  // throws Error where Python's len does

}  // namespace sputnik::jinja
