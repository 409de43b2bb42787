#include "text/jinja_heap.h"

#include <algorithm>

#include "base/error.h"

namespace sputnik::jinja {

void Heap::Charge(size_t bytes) {
  constexpr size_t kBytesAStep = 64;
  bytes_ -= static_cast<int64_t>(std::min(bytes, size_t{1} << 40));
  if (bytes_ < 0) ThrowBadInput("it needs more memory than a template may take");
  Step(static_cast<int64_t>(bytes / kBytesAStep));
}

void Heap::OutOfSteps() { ThrowBadInput("it runs longer than a template may (about 100 ms)"); }

Value Heap::Make(Text text) {
  Charge(text.bytes.size() + text.marks.size());
  return {Kind::kText, Keep(std::move(text))};
}

Value Heap::Sequence(Kind kind, std::vector<Value> items) {
  Charge(items.size() * sizeof(Value));
  Value value;
  value.kind = kind;
  value.list = Keep(List{std::move(items)});
  return value;
}

Value Heap::MakeView(std::string_view type, std::vector<Value> items) {
  Charge(items.size() * sizeof(Value));
  Value value;
  value.kind = Kind::kView;
  value.view = Keep(View{type, std::move(items)});
  return value;
}

Value Heap::MakeStream(std::vector<Value> items) {
  Charge(items.size() * sizeof(Value));
  Value value;
  value.kind = Kind::kStream;
  value.stream = Keep(Stream{std::move(items)});
  return value;
}

Value Heap::MakeDict(Kind kind) {
  Value value;
  value.kind = kind;
  value.dict = Keep(Dict());
  return value;
}

std::vector<Value> Iterate(Heap& heap, const Value& value) {
  std::vector<Value> items;
  switch (value.kind) {
    case Kind::kUndefined: return items;
    case Kind::kList:
    case Kind::kTuple: items = value.list->items; break;
    case Kind::kView: items = value.view->items; break;
    case Kind::kDict:
      items.reserve(value.dict->entries.size());
      for (const auto& [key, ignored] : value.dict->entries) items.push_back(key);
      break;
    case Kind::kStream:
      items.assign(value.stream->items.begin() + static_cast<ptrdiff_t>(value.stream->next), value.stream->items.end());
      value.stream->next = value.stream->items.size();
      break;
    case Kind::kText: {
      const Characters characters(value.text->bytes);
      for (int64_t i = 0; i < characters.count(); ++i) {
        items.push_back(heap.Make(value.text->Part(characters.Start(i), characters.Start(i + 1))));
      }
      break;
    }
    default: ThrowBadInput("a value of type {} cannot be gone through", TypeName(value));
  }
  heap.Charge(items.size() * sizeof(Value));
  heap.Step(static_cast<int64_t>(items.size()));
  return items;
}

}  // namespace sputnik::jinja
