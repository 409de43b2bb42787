#include "text/jinja_predicate.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"
#include "text/jinja_operator.h"

namespace sputnik::jinja {
namespace {

struct Simple {
  std::string_view name;
  bool (*holds)(const Value&);
};
constexpr std::array kSimple{
    Simple{"defined", [](const Value& v) { return !v.IsUndefined(); }},
    Simple{"undefined", [](const Value& v) { return v.IsUndefined(); }},
    Simple{"none", [](const Value& v) { return v.is(Kind::kNone); }},
    Simple{"boolean", [](const Value& v) { return v.is(Kind::kBool); }},
    Simple{"true", [](const Value& v) { return v.is(Kind::kBool) && v.boolean; }},
    Simple{"false", [](const Value& v) { return v.is(Kind::kBool) && !v.boolean; }},
    Simple{"integer", [](const Value& v) { return v.is(Kind::kInt); }},
    Simple{"float", [](const Value& v) { return v.is(Kind::kFloat); }},
    Simple{"number", [](const Value& v) { return v.IsNumber(); }},
    Simple{"string", [](const Value& v) { return v.IsText(); }},
    Simple{"mapping", [](const Value& v) { return v.is(Kind::kDict); }},
    Simple{"escaped", [](const Value& v) { return v.IsText() && v.text->escaped; }},
    Simple{"callable",
           [](const Value& v) {
             return v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is(Kind::kLoop) || v.IsUndefined();
           }},
    Simple{"iterable",
           [](const Value& v) {
             return v.IsUndefined() || (v.kind >= Kind::kText && v.kind <= Kind::kStream) || v.is(Kind::kLoop);
           }},
    // What has a length and elements by key.
    Simple{"sequence",
           [](const Value& v) {
             return v.IsUndefined() || (v.kind >= Kind::kText && v.kind <= Kind::kDict) ||
                    (v.is(Kind::kView) && v.view->type == "range");
           }},
};

struct Comparison {
  std::string_view name;
  Operation operation;
};
constexpr std::array<Comparison, 17> kComparisons{{{"in", Operation::kIn},
                                                   {"==", Operation::kEqual},
                                                   {"eq", Operation::kEqual},
                                                   {"equalto", Operation::kEqual},
                                                   {"!=", Operation::kNotEqual},
                                                   {"ne", Operation::kNotEqual},
                                                   {"<", Operation::kLess},
                                                   {"lt", Operation::kLess},
                                                   {"lessthan", Operation::kLess},
                                                   {"<=", Operation::kLessEqual},
                                                   {"le", Operation::kLessEqual},
                                                   {">", Operation::kGreater},
                                                   {"gt", Operation::kGreater},
                                                   {"greaterthan", Operation::kGreater},
                                                   {">=", Operation::kGreaterEqual},
                                                   {"ge", Operation::kGreaterEqual},
                                                   {"sameas", Operation::kEqual}}};

}  // namespace

bool Holds(Heap& heap, std::string_view name, const Value& value, const Arguments& arguments) {
  heap.Step();
  for (const Simple& simple : kSimple) {
    if (simple.name != name) continue;
    const Bound none(name, arguments, {});
    return simple.holds(value);
  }
  for (const Comparison& comparison : kComparisons) {
    if (comparison.name != name) continue;
    const Bound bound(name, arguments, {"other"}, 1);
    if (name == "sameas") return Same(value, bound[0]);
    return Truth(Operate(heap, comparison.operation, value, bound[0]));
  }
  if (name == "lower" || name == "upper") {
    const Bound none(name, arguments, {});
    if (value.IsText()) heap.Step(static_cast<int64_t>(value.text->size() / 2));
    return *Is(name == "lower" ? "islower" : "isupper", Display(heap, value).bytes);
  }
  const bool divisible = name == "divisibleby";
  if (divisible || name == "odd" || name == "even") {
    const Bound bound(name, arguments, {"num"}, divisible ? 1 : 0);
    const Value rest = Operate(heap, Operation::kModulo, value, divisible ? bound[0] : Int(2));
    return Equal(rest, Int(name == "odd" ? 1 : 0));
  }
  ThrowBadInput("the test {} is not supported in chat templates here", name);
}

}  // namespace sputnik::jinja
