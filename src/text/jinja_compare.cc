#include "text/jinja_compare.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja_string.h"

namespace sputnik::jinja {
namespace {

constexpr size_t kBytesAStep = 32;

void Count(Heap* heap, int depth, const Value& a, const Value& b) {
  if (heap != nullptr) {
    const bool texts = a.IsText() && b.IsText();
    heap->Step(1 + static_cast<int64_t>(texts ? std::min(a.text->size(), b.text->size()) / kBytesAStep : 0));
  }
  if (depth > kDeepestValue) ThrowBadInput("values are nested deeper than {} levels", kDeepestValue);
}

bool Equal(const Value& a, const Value& b, int depth, Heap* heap);

bool EqualLists(const std::vector<Value>& a, const std::vector<Value>& b, int depth, Heap* heap) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [&](const Value& x, const Value& y) { return Equal(x, y, depth, heap); });
}

bool EqualDicts(const Dict& a, const Dict& b, int depth, Heap* heap) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const Value* other = b.Find(entry.first);
    return other != nullptr && Equal(entry.second, *other, depth, heap);
  });
}

bool Equal(const Value& a, const Value& b, int depth, Heap* heap) {
  Count(heap, depth, a, b);
  if (a.IsNumber() && b.IsNumber()) {
    if (a.IsWhole() && b.IsWhole()) return a.AsWhole() == b.AsWhole();
    return a.AsNumber() == b.AsNumber();
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kText: return a.text->bytes == b.text->bytes;
    case Kind::kList:
    case Kind::kTuple: return EqualLists(a.list->items, b.list->items, depth + 1, heap);
    case Kind::kDict: return EqualDicts(*a.dict, *b.dict, depth + 1, heap);
    case Kind::kView: return a.view->type == b.view->type && EqualLists(a.view->items, b.view->items, depth + 1, heap);
    default: return Same(a, b);
  }
}

bool Less(const Value& a, const Value& b, int depth, Heap* heap) {
  Count(heap, depth, a, b);
  if (a.IsNumber() && b.IsNumber()) {
    if (a.IsWhole() && b.IsWhole()) return a.AsWhole() < b.AsWhole();
    return a.AsNumber() < b.AsNumber();
  }
  if (a.IsText() && b.IsText()) return a.text->bytes < b.text->bytes;  // UTF-8 has the order of code points
  if (a.kind == b.kind && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    const std::vector<Value>&x = a.list->items, &y = b.list->items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!Equal(x[i], y[i], depth + 1, heap)) return Less(x[i], y[i], depth + 1, heap);
    }
    return x.size() < y.size();
  }
  if (a.IsUndefined() || b.IsUndefined()) ThrowBadInput("something undefined cannot be compared by order");
  ThrowBadInput("values of type {} and {} have no order", TypeName(a), TypeName(b));
}

}  // namespace

bool Truth(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool: return value.boolean;
    case Kind::kInt: return value.integer != 0;
    case Kind::kFloat: return value.number != 0;
    case Kind::kText: return value.text->size() > 0;
    case Kind::kList:
    case Kind::kTuple: return !value.list->items.empty();
    case Kind::kDict: return !value.dict->entries.empty();
    case Kind::kView: return !value.view->items.empty();
    case Kind::kLoop: return !value.loop->items.empty();
    default: return true;
  }
}

bool Equal(const Value& a, const Value& b, Heap* heap) { return Equal(a, b, 0, heap); }

bool Same(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kUndefined: return a.name == b.name;
    case Kind::kNone: return true;
    case Kind::kBool: return a.boolean == b.boolean;
    case Kind::kInt: return a.integer == b.integer;
    case Kind::kFloat: return a.number == b.number;
    default: return a.text == b.text;  // the same thing behind any of the pointers
  }
}

bool Less(const Value& a, const Value& b, Heap* heap) { return Less(a, b, 0, heap); }

bool Contains(Heap& heap, const Value& all, const Value& one) {
  if (all.is(Kind::kText)) {
    if (!one.IsText()) ThrowBadInput("'in' a str needs a str on its left, not {}", TypeName(one));
    CountSearch(heap, all.text->size(), one.text->size());
    return all.text->bytes.find(one.text->bytes) != std::string::npos;
  }
  if (all.is(Kind::kDict)) {
    if (one.is(Kind::kList) || one.is(Kind::kDict)) ThrowBadInput("a {} cannot be a key", TypeName(one));
    return all.dict->Find(one) != nullptr;
  }
  if (all.is(Kind::kNone) || all.IsNumber()) ThrowBadInput("'in' cannot look into a value of type {}", TypeName(all));
  const std::vector<Value> items = Iterate(heap, all);
  return std::any_of(items.begin(), items.end(), [&](const Value& item) { return Equal(item, one, &heap); });
}

}  // namespace sputnik::jinja
