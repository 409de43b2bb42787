#include "text/jinja_operator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"

namespace sputnik::jinja {
namespace {

constexpr std::array<std::string_view, 7> kSigns{"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void Refuse(Operation operation, const Value& left, const Value& right) {
  const std::string_view sign = kSigns[static_cast<size_t>(operation)];
  for (const Value* side : {&left, &right}) {
    if (side->IsUndefined()) {
      ThrowBadInput("{} is undefined, and {} cannot use it", side->name ? *side->name : std::string("a value"), sign);
    }
  }
  ThrowBadInput("{} does not work on {} and {}", sign, TypeName(left), TypeName(right));
}

[[noreturn]] void TooLarge() { ThrowBadInput("a whole number beyond 64 bits"); }
[[noreturn]] void ByZero() { ThrowBadInput("division by zero"); }

int64_t FloorDivide(int64_t a, int64_t b) {
  if (b == 0) ByZero();
  if (b == -1) return a == INT64_MIN ? (TooLarge(), 0) : -a;
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Value Power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) ByZero();
    return Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Int(exponent == 0 ? 1 : base);
  if (base == -1) return Int(exponent % 2 == 0 ? 1 : -1);
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) {  // at most 63 rounds before it overflows
    if (__builtin_mul_overflow(result, base, &result)) TooLarge();
  }
  return Int(result);
}

double FloatModulo(double a, double b) {
  if (b == 0) ByZero();
  double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double FloatFloorDivide(double a, double b) {
  const double rest = FloatModulo(a, b);
  const double quotient = (a - rest) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value Numbers(Operation operation, const Value& left, const Value& right) {
  const bool whole = left.IsWhole() && right.IsWhole();
  const int64_t a = whole ? left.AsWhole() : 0, b = whole ? right.AsWhole() : 0;
  const double x = left.AsNumber(), y = right.AsNumber();
  int64_t result = 0;
  switch (operation) {
    case Operation::kAdd:
      if (!whole) return Float(x + y);
      if (__builtin_add_overflow(a, b, &result)) TooLarge();
      return Int(result);
    case Operation::kSubtract:
      if (!whole) return Float(x - y);
      if (__builtin_sub_overflow(a, b, &result)) TooLarge();
      return Int(result);
    case Operation::kMultiply:
      if (!whole) return Float(x * y);
      if (__builtin_mul_overflow(a, b, &result)) TooLarge();
      return Int(result);
    case Operation::kDivide:
      if (y == 0) ByZero();
      return Float(x / y);
    case Operation::kFloorDivide: return whole ? Int(FloorDivide(a, b)) : Float(FloatFloorDivide(x, y));
    case Operation::kModulo:
      if (!whole) return Float(FloatModulo(x, y));
      if (b == 0) ByZero();
      if (b == -1) return Int(0);
      return Int(a - FloorDivide(a, b) * b);
    case Operation::kPower:
      if (whole) return Power(a, b);
      if (x == 0 && y < 0) ByZero();
      return Float(std::pow(x, y));
    default: break;
  }
  Refuse(operation, left, right);
}

Value Add(Heap& heap, const Value& left, const Value& right) {
  if (left.IsText() && right.IsText()) {
    heap.Charge(left.text->size() + right.text->size());
    const bool escaped = left.text->escaped || right.text->escaped;
    Text sum = escaped ? Escape(*left.text) : *left.text;
    sum.Append(escaped ? Escape(*right.text) : *right.text);
    return heap.Make(std::move(sum));
  }
  if (left.kind != right.kind || (!left.is(Kind::kList) && !left.is(Kind::kTuple))) {
    Refuse(Operation::kAdd, left, right);
  }
  std::vector<Value> items = left.list->items;
  items.insert(items.end(), right.list->items.begin(), right.list->items.end());
  return left.is(Kind::kList) ? heap.MakeList(std::move(items)) : heap.MakeTuple(std::move(items));
}

Value Repeat(Heap& heap, const Value& object, int64_t count) {
  const size_t times = count < 0 ? 0 : static_cast<size_t>(count);
  const size_t one = object.IsText() ? object.text->size() : object.list->items.size() * sizeof(Value);
  if (one > 0 && times > (size_t{1} << 40) / one) ThrowBadInput("a repetition of {} times is too long", count);
  heap.Charge(one * times);
  if (object.IsText()) {
    Text text;
    text.escaped = object.text->escaped;
    for (size_t i = 0; one > 0 && i < times; ++i) text.Append(*object.text);
    return heap.Make(std::move(text));
  }
  std::vector<Value> items;
  for (size_t i = 0; one > 0 && i < times; ++i) {
    items.insert(items.end(), object.list->items.begin(), object.list->items.end());
  }
  return object.is(Kind::kList) ? heap.MakeList(std::move(items)) : heap.MakeTuple(std::move(items));
}

bool Repeats(const Value& value) { return value.IsText() || value.is(Kind::kList) || value.is(Kind::kTuple); }

// Where a slice of `size` things starts and ends, as Python clips it.
struct Range {
  int64_t begin, end, step;
};
Range Clip(int64_t size, const Value* first, const Value* last, const Value* step) {
  const auto bound = [](const Value* value, int64_t fallback) {
    if (value == nullptr || value->is(Kind::kNone)) return fallback;
    if (!value->IsWhole()) ThrowBadInput("a slice needs whole numbers, not {}", TypeName(*value));
    return value->AsWhole();
  };
  Range range{0, 0, bound(step, 1)};
  if (range.step == 0) ThrowBadInput("a slice cannot go in steps of zero");
  const int64_t low = range.step > 0 ? 0 : -1, high = range.step > 0 ? size : size - 1;
  const auto clip = [&](int64_t value) {
    return value < 0 ? std::max(value < -size ? -size - 1 : value + size, low) : std::min(value, high);
  };
  const auto given = [](const Value* value) { return value != nullptr && !value->is(Kind::kNone); };
  range.begin = given(first) ? clip(bound(first, 0)) : range.step > 0 ? low : high;
  range.end = given(last) ? clip(bound(last, 0)) : range.step > 0 ? high : low;
  return range;
}

}  // namespace

Value Operate(Heap& heap, Operation operation, const Value& left, const Value& right) {
  switch (operation) {
    case Operation::kEqual: return Bool(Equal(left, right, &heap));
    case Operation::kNotEqual: return Bool(!Equal(left, right, &heap));
    case Operation::kLess: return Bool(Less(left, right, &heap));
    case Operation::kGreater: return Bool(Less(right, left, &heap));
    case Operation::kLessEqual: return Bool(Less(left, right, &heap) || Equal(left, right, &heap));
    case Operation::kGreaterEqual: return Bool(Less(right, left, &heap) || Equal(left, right, &heap));
    case Operation::kIn: return Bool(Contains(heap, right, left));
    case Operation::kNotIn: return Bool(!Contains(heap, right, left));
    default: break;
  }
  if (left.IsNumber() && right.IsNumber()) return Numbers(operation, left, right);
  if (operation == Operation::kAdd) return Add(heap, left, right);
  if (operation == Operation::kMultiply && Repeats(left) && right.IsWhole()) {
    return Repeat(heap, left, right.AsWhole());
  }
  if (operation == Operation::kMultiply && Repeats(right) && left.IsWhole()) {
    return Repeat(heap, right, left.AsWhole());
  }
  if (operation == Operation::kModulo && left.IsText()) return FormatPercent(heap, *left.text, right);
  Refuse(operation, left, right);
}

Value Negative(const Value& value) {
  if (value.is(Kind::kFloat)) return Float(-value.number);
  if (!value.IsWhole()) Refuse(Operation::kSubtract, value, value);
  if (value.AsWhole() == INT64_MIN) TooLarge();
  return Int(-value.AsWhole());
}

Value Positive(const Value& value) {
  if (value.is(Kind::kFloat)) return value;
  if (!value.IsWhole()) Refuse(Operation::kAdd, value, value);
  return Int(value.AsWhole());
}

std::optional<Value> Item(Heap& heap, const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    const Value* found = object.dict->Find(key);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  if (!key.IsWhole()) return std::nullopt;
  int64_t i = key.AsWhole();
  const std::vector<Value>* items = nullptr;
  if (object.is(Kind::kList) || object.is(Kind::kTuple)) items = &object.list->items;
  if (object.is(Kind::kView) && object.view->type == "range") items = &object.view->items;
  if (items != nullptr) {
    const auto size = static_cast<int64_t>(items->size());
    if (i < 0) i += size;
    return i < 0 || i >= size ? std::nullopt : std::optional((*items)[static_cast<size_t>(i)]);
  }
  if (!object.IsText()) return std::nullopt;
  heap.Step(static_cast<int64_t>(object.text->size() / 8));
  const Characters characters(object.text->bytes);
  if (i < 0) i += characters.count();
  if (i < 0 || i >= characters.count()) return std::nullopt;
  return heap.Make(object.text->Part(characters.Start(i), characters.Start(i + 1)));
}

Value Slice(Heap& heap, const Value& object, const Value* first, const Value* last, const Value* step) {
  if (object.IsText()) {
    heap.Charge(object.text->size());
    const Characters characters(object.text->bytes);
    const Range range = Clip(characters.count(), first, last, step);
    if (range.step == 1) {
      const int64_t end = std::max(range.begin, range.end);
      return heap.Make(object.text->Part(characters.Start(range.begin), characters.Start(end)));
    }
    Text text;
    text.escaped = object.text->escaped;
    for (int64_t i = range.begin; range.step > 0 ? i < range.end : i > range.end;) {
      text.AppendPart(*object.text, characters.Start(i), characters.Start(i + 1));
      if (__builtin_add_overflow(i, range.step, &i)) break;
    }
    return heap.Make(std::move(text));
  }
  if (!object.is(Kind::kList) && !object.is(Kind::kTuple)) {
    if (object.IsUndefined()) {
      ThrowBadInput("{} is undefined, and has no slices", object.name ? *object.name : "a value");
    }
    ThrowBadInput("a value of type {} has no slices", TypeName(object));
  }
  const Range range = Clip(static_cast<int64_t>(object.list->items.size()), first, last, step);
  std::vector<Value> items;
  for (int64_t i = range.begin; range.step > 0 ? i < range.end : i > range.end;) {
    items.push_back(object.list->items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, range.step, &i)) break;
  }
  return object.is(Kind::kList) ? heap.MakeList(std::move(items)) : heap.MakeTuple(std::move(items));
}

Value FormatPercent(Heap& heap, const Text& format, const Value& values) {
  if (format.escaped) ThrowBadInput("% on text marked safe is not supported in chat templates here");
  const std::vector<Value> list = values.is(Kind::kTuple) ? values.list->items : std::vector<Value>{values};
  size_t used = 0;
  Text out;
  for (size_t i = 0; i < format.size();) {
    const size_t percent = std::min(format.bytes.find('%', i), format.size());
    out.AppendPart(format, i, percent);
    if (percent == format.size()) break;
    i = percent + 1;
    const std::string_view rest = std::string_view(format.bytes).substr(i);
    const size_t flags = std::min(rest.find_first_not_of("-+ 0#"), rest.size());
    size_t end = std::min(rest.find_first_not_of("0123456789.", flags), rest.size());
    if (end == rest.size() || end > 8) ThrowBadInput("an unfinished %-format");
    const char type = rest[end];
    i += end + 1;
    if (type == '%') {
      out.Append("%");
      continue;
    }
    if (used == list.size()) ThrowBadInput("fewer values than the %-format wants");
    const Value& value = list[used++];
    const std::string spec(rest.substr(0, end));
    if (type == 's' || type == 'r') {
      Text text = type == 's' ? Display(heap, value) : Repr(heap, value);
      const size_t point = spec.find('.');
      const int64_t width = std::atoi(spec.c_str() + flags);
      Characters characters(text.bytes);
      if (point != spec.npos) {
        const int64_t most = std::min<int64_t>(characters.count(), std::atoi(spec.c_str() + point + 1));
        text = text.Part(0, characters.Start(most));
        characters = Characters(text.bytes);
      }
      const auto padding = static_cast<size_t>(std::max<int64_t>(0, width - characters.count()));
      heap.Charge(padding + text.size());
      const bool left = spec.substr(0, flags).find('-') != spec.npos;
      if (!left) out.Append(std::string(padding, ' '));
      out.Append(text);
      if (left) out.Append(std::string(padding, ' '));
      continue;
    }
    std::array<char, 1024> digits;
    int length = -1;
    if (std::string_view("diuxXo").find(type) != std::string_view::npos && value.IsNumber()) {
      const bool hexadecimal = type == 'x' || type == 'X' || type == 'o';
      if (hexadecimal && (!value.IsWhole() || value.AsWhole() < 0)) ThrowBadInput("%{} needs a whole number", type);
      if (!value.IsWhole() && !(std::abs(value.number) < 9e18)) TooLarge();
      const int64_t whole = value.IsWhole() ? value.AsWhole() : static_cast<int64_t>(value.number);
      const std::string c = "%" + spec + "l" + (hexadecimal ? type : 'd');
      length = std::snprintf(digits.data(), digits.size(), c.c_str(), whole);
    } else if (std::string_view("feEgGF").find(type) != std::string_view::npos && value.IsNumber()) {
      length = std::snprintf(digits.data(), digits.size(), ("%" + spec + type).c_str(), value.AsNumber());
    }
    if (length < 0) ThrowBadInput("%{} cannot format a value of type {}", type, TypeName(value));
    if (length >= static_cast<int>(digits.size())) ThrowBadInput("a %-format wider than {}", digits.size() - 1);
    out.Append(std::string_view(digits.data(), static_cast<size_t>(length)));
  }
  if (used < list.size() && !values.is(Kind::kDict)) ThrowBadInput("more values than the %-format wants");
  return heap.Make(std::move(out));
}

}  // namespace sputnik::jinja
