#include "text/jinja_filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"
#include "text/jinja_function.h"
#include "text/jinja_number.h"
#include "text/jinja_operator.h"
#include "text/jinja_predicate.h"
#include "text/jinja_string.h"

namespace sputnik::jinja {
namespace {

// One filter at work.
struct Use {
  Heap& heap;
  std::string_view name;
  const Value& value;
  const Arguments& arguments;

  Bound Bind(std::initializer_list<std::string_view> parameters, size_t needed = 0) const {
    return Bound(name, arguments, parameters, needed);
  }
  Text AsText() const {
    if (value.IsText()) heap.Charge(value.text->size());
    return Display(heap, value);
  }
  std::vector<Value> Items() const { return Iterate(heap, value); }
};

// With texts in lower case, which is what sort, unique, min and max compare by.
Value WithoutCase(Heap& heap, const Value& value) { return value.IsText() ? heap.Make(Lower(*value.text)) : value; }

// What each item is sorted or compared by: the item, an attribute, or a list of them.
std::vector<Value> Keys(const Use& use, const std::vector<Value>& items, const Value* attribute, bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    if (attribute == nullptr || attribute->is(Kind::kNone)) {
      keys.push_back(case_sensitive ? item : WithoutCase(use.heap, item));
      continue;
    }
    std::vector<Value> parts;
    const std::vector<Text> paths = attribute->IsText() ? Split(*attribute->text, ",", -1) : std::vector<Text>();
    for (const Text& path : paths) parts.push_back(AttributePath(use.heap, item, use.heap.Make(path)));
    if (paths.empty()) parts.push_back(AttributePath(use.heap, item, *attribute));
    if (!case_sensitive) {
      for (Value& part : parts) part = WithoutCase(use.heap, part);
    }
    keys.push_back(use.heap.MakeList(std::move(parts)));
  }
  return keys;
}

// Stable, as Python's; with `reverse` equal ones still keep their order.
std::vector<Value> Sorted(Heap& heap, const std::vector<Value>& items, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t n = items.size(); n > 0; n /= 2) heap.Step(static_cast<int64_t>(items.size()));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? Less(keys[b], keys[a], &heap) : Less(keys[a], keys[b], &heap);
  });
  std::vector<Value> sorted;
  for (const size_t i : order) sorted.push_back(items[i]);
  return sorted;
}

Value Sort(const Use& use) {
  const Bound bound = use.Bind({"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> items = use.Items();
  const std::vector<Value> keys = Keys(use, items, bound.Has(2) ? &bound[2] : nullptr, bound.Flag(1, false));
  return use.heap.MakeList(Sorted(use.heap, items, keys, bound.Flag(0, false)));
}

Value DictSort(const Use& use) {
  const Bound bound = use.Bind({"case_sensitive", "by", "reverse"});
  if (!use.value.is(Kind::kDict)) ThrowBadInput("dictsort needs a dict, not {}", TypeName(use.value));
  const bool by_value = bound.Has(1) && bound.String(1).bytes == "value";
  if (!by_value && bound.Has(1) && bound.String(1).bytes != "key") ThrowBadInput("dictsort goes by key or value");
  std::vector<Value> items, keys;
  for (const auto& [key, value] : use.value.dict->entries) {
    items.push_back(use.heap.MakeTuple({key, value}));
    const Value& by = by_value ? value : key;
    keys.push_back(bound.Flag(0, false) ? by : WithoutCase(use.heap, by));
  }
  return use.heap.MakeList(Sorted(use.heap, items, keys, bound.Flag(2, false)));
}

Value Unique(const Use& use) {
  const Bound bound = use.Bind({"case_sensitive", "attribute"});
  const std::vector<Value> items = use.Items();
  const std::vector<Value> keys = Keys(use, items, bound.Has(1) ? &bound[1] : nullptr, bound.Flag(0, false));
  std::vector<Value> seen, kept;
  for (size_t i = 0; i < items.size(); ++i) {
    use.heap.Step(static_cast<int64_t>(seen.size()));
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& key) { return Equal(key, keys[i], &use.heap); }))
      continue;
    seen.push_back(keys[i]);
    kept.push_back(items[i]);
  }
  return use.heap.MakeStream(std::move(kept));
}

Value MinOrMax(const Use& use) {
  const Bound bound = use.Bind({"case_sensitive", "attribute"});
  const std::vector<Value> items = use.Items();
  const std::vector<Value> keys = Keys(use, items, bound.Has(1) ? &bound[1] : nullptr, bound.Flag(0, false));
  if (items.empty()) return Undefined();
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (use.name == "min" ? Less(keys[i], keys[best], &use.heap) : Less(keys[best], keys[i], &use.heap)) best = i;
  }
  return items[best];
}

Value Default(const Use& use) {
  const Bound bound = use.Bind({"default_value", "boolean"});
  if (!use.value.IsUndefined() && !(bound.Flag(1, false) && !Truth(use.value))) return use.value;
  return bound.Has(0) ? bound[0] : use.heap.Make("");
}

Value Join(const Use& use) {
  const Bound bound = use.Bind({"d", "attribute"});
  const Text between = bound.Has(0) ? Display(use.heap, bound[0]) : Text();
  Text out;
  bool first = true;
  for (const Value& item : use.Items()) {
    if (!std::exchange(first, false)) out.Append(between);
    const Text text = Display(use.heap, bound.IsNone(1) ? item : AttributePath(use.heap, item, bound[1]));
    use.heap.Charge(text.size() + between.size());
    out.Append(text);
  }
  out.escaped = false;
  return use.heap.Make(std::move(out));
}

Value Json(const Use& use) {
  const Bound bound = use.Bind({"ensure_ascii", "indent", "separators", "sort_keys"});
  constexpr int64_t kWidest = 64;
  JsonStyle style;
  style.ascii = bound.Flag(0, false);
  style.sorted = bound.Flag(3, false);
  if (!bound.IsNone(1)) {
    if (!bound[1].IsText() && bound.Whole(1, 0) > kWidest) ThrowBadInput("tojson: an indent above {}", kWidest);
    style.indent = bound[1].IsText() ? bound[1].text->bytes
                                     : std::string(static_cast<size_t>(std::max<int64_t>(0, bound.Whole(1, 0))), ' ');
  }
  style.item_separator = Text(style.indent ? "," : ", ");
  style.key_separator = Text(": ");
  if (!bound.IsNone(2)) {
    const std::vector<Value> both = Iterate(use.heap, bound[2]);
    if (both.size() != 2 || !both[0].IsText() || !both[1].IsText()) ThrowBadInput("tojson: separators are two texts");
    style.item_separator = *both[0].text;
    style.key_separator = *both[1].text;
  }
  return use.heap.Make(ToJson(use.heap, use.value, style));
}

Value Indent(const Use& use) {
  const Bound bound = use.Bind({"width", "first", "blank"});
  constexpr int64_t kWidest = 1000;
  const Text& self = use.value.IsText() ? *use.value.text : (ThrowBadInput("indent needs a str"), *use.value.text);
  if (bound.Has(0) && !bound[0].IsText() && bound.Whole(0, 4) > kWidest) ThrowBadInput("an indent above {}", kWidest);
  const Text indention = bound.Has(0) && bound[0].IsText()
                             ? bound.String(0)
                             : Text(std::string(static_cast<size_t>(std::max<int64_t>(0, bound.Whole(0, 4))), ' '));
  Text text = self;
  text.Append("\n");
  const std::vector<Text> lines = SplitLines(text, false);
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    use.heap.Charge(indention.size() + lines[i].size() + 1);
    if (i > 0) out.Append("\n");
    const bool wanted = i == 0 ? bound.Flag(1, false) : lines[i].size() > 0 || bound.Flag(2, false);
    if (wanted) out.Append(indention);
    out.Append(lines[i]);
  }
  out.escaped = self.escaped;
  return use.heap.Make(std::move(out));
}

std::optional<double> FloatOf(const Value& value) {
  if (value.IsNumber()) return value.AsNumber();
  return value.IsText() ? ParseFloat(*value.text) : std::nullopt;
}

Value ToInt(const Use& use) {
  const Bound bound = use.Bind({"default", "base"});
  const int64_t base = bound.Whole(1, 10);
  if (use.value.IsWhole()) return Int(use.value.AsWhole());
  if (base < 2 || base > 36) ThrowBadInput("int: a base of {} is not supported in chat templates here", base);
  if (use.value.IsText()) {
    if (const std::optional<int64_t> whole = ParseInt(*use.value.text, static_cast<int>(base))) return Int(*whole);
  }
  const std::optional<double> number = FloatOf(use.value);
  if (!number || !std::isfinite(*number)) return bound.Has(0) ? bound[0] : Int(0);
  if (std::abs(*number) >= 9.2e18) ThrowBadInput("a whole number beyond 64 bits");
  return Int(static_cast<int64_t>(*number));
}

Value Round(const Use& use) {
  const Bound bound = use.Bind({"precision", "method"});
  constexpr int64_t kFinest = 300;
  const int64_t precision = bound.Whole(0, 0);
  const std::string method = bound.Has(1) ? bound.String(1).bytes : "common";
  if (!use.value.IsNumber()) ThrowBadInput("round needs a number, not {}", TypeName(use.value));
  if (precision < 0 || precision > kFinest) ThrowBadInput("round: a precision of {} is not supported", precision);
  if (method == "common") {
    if (use.value.IsWhole()) return Int(use.value.AsWhole());
    return Float(RoundFloat(use.value.number, static_cast<int>(precision)));
  }
  if (method != "ceil" && method != "floor") ThrowBadInput("round: the method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = use.value.AsNumber() * scale;
  return Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value Map(const Use& use) {
  if (!Truth(use.value)) return use.heap.MakeStream({});  // nothing at all may be gone through here
  std::vector<Value> mapped;
  Arguments rest = use.arguments;
  std::function<Value(const Value&)> of;
  if (rest.plain.empty()) {
    const Bound bound = use.Bind({"attribute", "default"}, 1);
    const Value attribute = bound[0], fallback = bound.Has(1) ? bound[1] : None();
    of = [&use, attribute, fallback](const Value& item) {
      const Value found = AttributePath(use.heap, item, attribute);
      return found.IsUndefined() && !fallback.is(Kind::kNone) ? fallback : found;
    };
  } else {
    if (!rest.plain[0].IsText()) ThrowBadInput("map needs a filter's name");
    const std::string name = rest.plain[0].text->bytes;
    rest.plain.erase(rest.plain.begin());
    of = [&use, &rest, name](const Value& item) { return ApplyFilter(use.heap, name, item, rest); };
  }
  for (const Value& item : use.Items()) mapped.push_back(of(item));
  return use.heap.MakeStream(std::move(mapped));
}

// select, reject, selectattr, rejectattr
Value Select(const Use& use) {
  if (!Truth(use.value)) return use.heap.MakeStream({});
  Arguments rest = use.arguments;
  const bool by_attribute = use.name.ends_with("attr"), wanted = use.name.starts_with("select");
  const auto take = [&] {
    const Value first = rest.plain.front();
    rest.plain.erase(rest.plain.begin());
    return first;
  };
  if (by_attribute && rest.plain.empty()) ThrowBadInput("{} needs an attribute's name", use.name);
  const Value attribute = by_attribute ? take() : Undefined();
  const Value test = rest.plain.empty() ? Undefined() : take();
  if (!test.IsUndefined() && !test.IsText()) ThrowBadInput("{} needs a test's name", use.name);
  std::vector<Value> kept;
  for (const Value& item : use.Items()) {
    const Value subject = by_attribute ? AttributePath(use.heap, item, attribute) : item;
    const bool holds = test.IsText() ? Holds(use.heap, test.text->bytes, subject, rest) : Truth(subject);
    if (holds == wanted) kept.push_back(item);
  }
  return use.heap.MakeStream(std::move(kept));
}

Value Batch(const Use& use) {
  const Bound bound = use.Bind({"linecount", "fill_with"}, 1);
  const int64_t size = bound.Whole(0, 1);
  std::vector<Value> rows, row;
  const auto close = [&] { rows.push_back(use.heap.MakeList(std::exchange(row, {}))); };
  for (const Value& item : use.Items()) {
    if (static_cast<int64_t>(row.size()) == size) close();
    row.push_back(item);
  }
  if (!row.empty()) {
    if (!bound.IsNone(1) && size > 0) use.heap.Charge(static_cast<size_t>(size) * sizeof(Value));
    while (!bound.IsNone(1) && static_cast<int64_t>(row.size()) < size) row.push_back(bound[1]);
    close();
  }
  return use.heap.MakeStream(std::move(rows));
}

Value FirstOrLast(const Use& use) {
  use.Bind({});
  if (use.name == "last" && use.value.is(Kind::kStream)) ThrowBadInput("a generator has no last item");
  if (use.value.is(Kind::kStream)) {
    Stream& stream = *use.value.stream;
    return stream.next < stream.items.size() ? stream.items[stream.next++] : Undefined();
  }
  if (use.value.IsUndefined()) return Undefined();
  const std::vector<Value> items = use.Items();
  if (items.empty()) return Undefined();
  return use.name == "first" ? items.front() : items.back();
}

Value Reverse(const Use& use) {
  use.Bind({});
  if (use.value.IsText()) {
    const Value back = Int(-1);
    return Slice(use.heap, use.value, nullptr, nullptr, &back);
  }
  std::vector<Value> items = use.Items();
  std::reverse(items.begin(), items.end());
  return use.heap.MakeStream(std::move(items));
}

Value Sum(const Use& use) {
  const Bound bound = use.Bind({"attribute", "start"});
  Value sum = bound.Has(1) ? bound[1] : Int(0);
  for (const Value& item : use.Items()) {
    sum = Operate(use.heap, Operation::kAdd, sum, bound.IsNone(0) ? item : AttributePath(use.heap, item, bound[0]));
  }
  return sum;
}

Value Abs(const Use& use) {
  use.Bind({});
  if (use.value.is(Kind::kFloat)) return Float(std::abs(use.value.number));
  return use.value.IsWhole() && use.value.AsWhole() >= 0 ? Int(use.value.AsWhole()) : Negative(use.value);
}

Value Items(const Use& use) {
  use.Bind({});
  if (use.value.IsUndefined()) return use.heap.MakeStream({});
  if (!use.value.is(Kind::kDict)) ThrowBadInput("items needs a dict, not {}", TypeName(use.value));
  std::vector<Value> pairs;
  for (const auto& [key, value] : use.value.dict->entries) pairs.push_back(use.heap.MakeTuple({key, value}));
  return use.heap.MakeStream(std::move(pairs));
}

// Filters that are a method of str, or as good as one.
Value OfText(const Use& use) {
  const Value text = use.value.IsText() ? use.value : use.heap.Make(use.AsText());
  const std::string_view method = use.name == "trim" ? "strip" : use.name;
  if (use.name == "center") {
    const Bound bound = use.Bind({"width"});
    return CallStringMethod(use.heap, *text.text, method, {{Int(bound.Whole(0, 80))}, {}});
  }
  if (use.name == "replace") {
    const Bound bound = use.Bind({"old", "new", "count"}, 2);
    Text self = *text.text;
    self.escaped = false;
    const Value old = use.heap.Make(Display(use.heap, bound[0])), fresh = use.heap.Make(Display(use.heap, bound[1]));
    return CallStringMethod(use.heap, self, method, {{old, fresh, Int(bound.IsNone(2) ? -1 : bound.Whole(2, -1))}, {}});
  }
  return CallStringMethod(use.heap, *text.text, method, use.arguments);
}

Value CountOf(const Use& use) {
  use.Bind({});
  if (use.value.IsText()) use.heap.Step(static_cast<int64_t>(use.value.text->size() / 8));
  return Int(Length(use.value));
}

using Filter = Value (*)(const Use&);
struct Row {
  std::string_view name;
  Filter filter;
};
constexpr std::array kFilters{
    Row{"abs", Abs},
    Row{"batch", Batch},
    Row{"capitalize", OfText},
    Row{"center", OfText},
    Row{"count", CountOf},
    Row{"d", Default},
    Row{"default", Default},
    Row{"dictsort", DictSort},
    Row{"e", [](const Use& use) { return use.Bind({}), use.heap.Make(Escape(use.AsText())); }},
    Row{"escape", [](const Use& use) { return use.Bind({}), use.heap.Make(Escape(use.AsText())); }},
    Row{"first", FirstOrLast},
    Row{"float",
        [](const Use& use) {
          const Bound bound = use.Bind({"default"});
          const std::optional<double> number = FloatOf(use.value);
          return number ? Float(*number) : bound.Has(0) ? bound[0] : Float(0.0);
        }},
    Row{"format",
        [](const Use& use) {
          if (!use.arguments.named.empty()) ThrowBadInput("format with names is not supported in chat templates here");
          return FormatPercent(use.heap, use.AsText(), use.heap.MakeTuple(use.arguments.plain));
        }},
    Row{"indent", Indent},
    Row{"int", ToInt},
    Row{"items", Items},
    Row{"join", Join},
    Row{"last", FirstOrLast},
    Row{"length", CountOf},
    Row{"list", [](const Use& use) { return use.Bind({}), use.heap.MakeList(use.Items()); }},
    Row{"lower", OfText},
    Row{"map", Map},
    Row{"max", MinOrMax},
    Row{"min", MinOrMax},
    Row{"reject", Select},
    Row{"rejectattr", Select},
    Row{"replace", OfText},
    Row{"reverse", Reverse},
    Row{"round", Round},
    Row{"safe",
        [](const Use& use) {
          Text text = use.AsText();
          text.escaped = true;
          return use.heap.Make(std::move(text));
        }},
    Row{"select", Select},
    Row{"selectattr", Select},
    Row{"sort", Sort},
    Row{"string", [](const Use& use) { return use.value.IsText() ? use.value : use.heap.Make(use.AsText()); }},
    Row{"sum", Sum},
    Row{"title", [](const Use& use) { return use.Bind({}), use.heap.Make(TitleFilter(use.AsText())); }},
    Row{"tojson", Json},
    Row{"trim", OfText},
    Row{"unique", Unique},
    Row{"upper", OfText},
};

}  // namespace

Value ApplyFilter(Heap& heap, std::string_view name, const Value& value, const Arguments& arguments) {
  heap.Step();
  const auto found = std::find_if(kFilters.begin(), kFilters.end(), [&](const Row& row) { return row.name == name; });
  if (found == kFilters.end()) ThrowBadInput("the filter {} is not supported in chat templates here", name);
  return found->filter({heap, name, value, arguments});
}

Value AttributePath(Heap& heap, const Value& value, const Value& path) {
  if (!path.IsText()) return Subscript(heap, value, path);
  Value at = value;
  for (const Text& part : Split(*path.text, ".", -1)) {
    const bool number = *Is("isdigit", part.bytes) && part.size() < 18;
    at = Subscript(heap, at, number ? Int(std::stoll(part.bytes)) : heap.Make(part));
  }
  return at;
}

}  // namespace sputnik::jinja
