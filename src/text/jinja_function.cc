#include "text/jinja_function.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"
#include "text/jinja_operator.h"
#include "text/jinja_string.h"

namespace sputnik::jinja {
namespace {

constexpr std::array<std::string_view, 6> kDictMethods{"get", "items", "keys", "values", "copy", "fromkeys"};
constexpr std::array<std::string_view, 5> kDictChanges{"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 3> kListMethods{"count", "index", "copy"};
constexpr std::array<std::string_view, 5> kFunctions{"range", "dict", "namespace", "raise_exception", "strftime_now"};

template <size_t n>
bool Lists(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value Bind(Heap& heap, std::string_view name, const Value& self) {
  Value value;
  value.kind = Kind::kFunction;
  value.function = heap.Keep(Function{name, self});
  return value;
}

std::optional<Value> LoopAttribute(Heap& heap, const Value& object, std::string_view name) {
  const Loop& loop = *object.loop;
  const auto length = static_cast<int64_t>(loop.items.size());
  const auto item = [&](int64_t i) { return i < 0 || i >= length ? Undefined() : loop.items[static_cast<size_t>(i)]; };
  if (name == "index") return Int(loop.index0 + 1);
  if (name == "index0") return Int(loop.index0);
  if (name == "first") return Bool(loop.index0 == 0);
  if (name == "last") return Bool(loop.index0 + 1 == length);
  if (name == "length") return Int(length);
  if (name == "revindex") return Int(length - loop.index0);
  if (name == "revindex0") return Int(length - loop.index0 - 1);
  if (name == "previtem") return item(loop.index0 - 1);
  if (name == "nextitem") return item(loop.index0 + 1);
  if (name == "depth") return Int(loop.depth0 + 1);
  if (name == "depth0") return Int(loop.depth0);
  if (name == "cycle") return Bind(heap, "cycle", object);
  if (name == "changed") return Bind(heap, "changed", object);
  return std::nullopt;
}

// The method, if the object has one of this name and it may be used. `refused` tells that it has one that may not.
std::optional<Value> Method(Heap& heap, const Value& object, const std::string& name, bool* refused) {
  if (object.is(Kind::kLoop)) return LoopAttribute(heap, object, name);
  const bool list = object.is(Kind::kList) || object.is(Kind::kTuple);
  const bool has = object.IsText() ? IsStringMethod(name)
                   : list          ? Lists(kListMethods, name) && (name != "copy" || object.is(Kind::kList))
                                   : object.is(Kind::kDict) && Lists(kDictMethods, name);
  *refused = name.starts_with("__") || (object.is(Kind::kDict) && Lists(kDictChanges, name));
  if (!has) return std::nullopt;
  return Bind(heap, name, object);
}

[[noreturn]] void NoAttributes(const Value& object, std::string_view name) {
  ThrowBadInput("{} is undefined, so it has no {}", object.name ? *object.name : "a value", name);
}

Value CallLoop(Heap& heap, const Function& function, const Arguments& arguments) {
  Loop& loop = *function.self.loop;
  const std::vector<Value>& values = arguments.plain;
  if (function.name == "cycle") {
    if (values.empty()) ThrowBadInput("loop.cycle needs values");
    return values[static_cast<size_t>(loop.index0) % values.size()];
  }
  const Value now = heap.MakeTuple(values);
  const bool same = loop.changed != nullptr && loop.changed->items.size() == values.size() &&
                    std::equal(values.begin(), values.end(), loop.changed->items.begin(),
                               [&](const Value& a, const Value& b) { return Equal(a, b, &heap); });
  loop.changed = now.list;
  return Bool(!same);
}

Value CallDict(Heap& heap, const Function& function, const Arguments& arguments) {
  const Dict& dict = *function.self.dict;
  if (function.name == "get") {
    if (!arguments.named.empty()) ThrowBadInput("get takes no arguments by name");
    const Bound bound("get", arguments, {"key", "default"}, 1);
    if (const Value* found = dict.Find(bound[0])) return *found;
    return bound.Has(1) ? bound[1] : None();
  }
  if (function.name == "fromkeys") ThrowBadInput("dict.fromkeys is not supported in chat templates here");
  const Bound bound(function.name, arguments, {});
  if (function.name == "copy") return function.self;
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    items.push_back(function.name == "items" ? heap.MakeTuple({key, value}) : function.name == "keys" ? key : value);
  }
  return heap.MakeView(function.name == "items"  ? "dict_items"
                       : function.name == "keys" ? "dict_keys"
                                                 : "dict_values",
                       std::move(items));
}

Value CallList(Heap& heap, const Function& function, const Arguments& arguments) {
  const std::vector<Value>& items = function.self.list->items;
  heap.Step(static_cast<int64_t>(items.size()));
  if (function.name == "copy") return function.self;
  const Bound bound(function.name, arguments, {"value"}, 1);
  const auto same = [&](const Value& item) { return Equal(item, bound[0], &heap); };
  if (function.name == "count") return Int(std::count_if(items.begin(), items.end(), same));
  const auto found = std::find_if(items.begin(), items.end(), same);
  if (found == items.end()) ThrowBadInput("index: the value is not in the list");
  return Int(found - items.begin());
}

Value MakeRange(Heap& heap, const Arguments& arguments) {
  constexpr int64_t kLongest = 100000;
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  const int64_t start = bound.Has(1) ? bound.Whole(0, 0) : 0,
                stop = bound.Has(1) ? bound.Whole(1, 0) : bound.Whole(0, 0);
  const int64_t step = bound.Whole(2, 1);
  if (step == 0) ThrowBadInput("range cannot go in steps of zero");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (items.size() == kLongest) ThrowBadInput("a range of more than {} numbers", kLongest);
    items.push_back(Int(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  heap.Step(static_cast<int64_t>(items.size()));
  return heap.MakeView("range", std::move(items));
}

// dict(...) and namespace(...): of a dict, of pairs, and of named arguments.
Value MakeMapping(Heap& heap, const Function& function, const Arguments& arguments) {
  const bool names = function.name == "namespace";
  const Value made = heap.MakeDict(names ? Kind::kNamespace : Kind::kDict);
  const auto set = [&](const Value& key, const Value& value) {
    if (key.is(Kind::kList) || key.is(Kind::kDict)) ThrowBadInput("a {} cannot be a key", TypeName(key));
    if (names && key.IsText() && key.text->bytes.starts_with('_')) {
      ThrowBadInput("a namespace cannot hold {}: names with an underscore in front are closed", key.text->bytes);
    }
    heap.Charge(sizeof(Value) * 4);
    made.dict->Set(key, value);
  };
  if (arguments.plain.size() > 1) ThrowBadInput("{} takes one argument without a name at most", function.name);
  if (!arguments.plain.empty() && arguments.plain[0].is(Kind::kDict)) {
    for (const auto& [key, value] : arguments.plain[0].dict->entries) set(key, value);
  } else if (!arguments.plain.empty()) {
    for (const Value& pair : Iterate(heap, arguments.plain[0])) {
      const std::vector<Value> both = Iterate(heap, pair);
      if (both.size() != 2) ThrowBadInput("{} needs pairs of a key and a value", function.name);
      set(both[0], both[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) set(heap.Make(name), value);
  return made;
}

Value FormatTime(Heap& heap, const Arguments& arguments, int64_t now) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  std::string format = bound.String(0).bytes;
  constexpr size_t kLongest = 200;
  if (format.size() > kLongest) ThrowBadInput("strftime_now: a format longer than {} bytes", kLongest);
  for (size_t at = 0; (at = format.find('%', at)) != format.npos; at += 2) {
    const char letter = at + 1 < format.size() ? format[at + 1] : '\0';
    if (letter == 'f') format.replace(at, 2, "000000");                // a clock in seconds
    if (letter == 'z' || letter == 'Z') format.erase(at, 2), at -= 2;  // a time without a zone
    if (std::string_view("aAbBcdfGHIjmMpSuUVwWxXyYzZ%eDFTRhnt-").find(letter) == std::string_view::npos) {
      ThrowBadInput("strftime_now: %{} is not supported in chat templates here", letter);
    }
  }
  const auto seconds = static_cast<std::time_t>(now);
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 4096> text;
  const size_t length = std::strftime(text.data(), text.size(), format.c_str(), &local);
  return heap.Make(std::string_view(text.data(), length));
}

}  // namespace

Value Attribute(Heap& heap, const Value& object, const std::string& name) {
  if (object.IsUndefined()) NoAttributes(object, name);
  bool refused = false;
  if (const std::optional<Value> method = Method(heap, object, name, &refused)) return *method;
  if (refused) return Undefined(&name);
  if (object.is(Kind::kDict) || object.is(Kind::kNamespace)) {
    if (const Value* found = object.dict->Find(name)) return *found;
  }
  return Undefined(&name);
}

Value Subscript(Heap& heap, const Value& object, const Value& key) {
  const std::string* name = key.IsText() ? &key.text->bytes : nullptr;
  if (object.IsUndefined()) NoAttributes(object, name ? *name : "elements");
  if (const std::optional<Value> item = Item(heap, object, key)) return *item;
  if (name == nullptr) return Undefined();
  if (object.is(Kind::kNamespace)) return Attribute(heap, object, *name);
  bool refused = false;
  const std::optional<Value> method = Method(heap, object, *name, &refused);
  return method ? *method : Undefined(name);
}

Value GlobalFunction(Heap& heap, const std::string& name) {
  return Lists(kFunctions, name) ? Bind(heap, name, Undefined()) : Undefined(&name);
}

Value CallFunction(Heap& heap, const Function& function, const Arguments& arguments, int64_t now) {
  switch (function.self.kind) {
    case Kind::kText: return CallStringMethod(heap, *function.self.text, function.name, arguments);
    case Kind::kDict: return CallDict(heap, function, arguments);
    case Kind::kList:
    case Kind::kTuple: return CallList(heap, function, arguments);
    case Kind::kLoop: return CallLoop(heap, function, arguments);
    default: break;
  }
  if (function.name == "range") return MakeRange(heap, arguments);
  if (function.name == "strftime_now") return FormatTime(heap, arguments, now);
  if (function.name != "raise_exception") return MakeMapping(heap, function, arguments);
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  ThrowBadInput("{}", Display(heap, bound[0]).bytes);
}

}  // namespace sputnik::jinja
