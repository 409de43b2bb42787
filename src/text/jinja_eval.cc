#include "text/jinja_eval.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_compare.h"
#include "text/jinja_display.h"
#include "text/jinja_filter.h"
#include "text/jinja_function.h"
#include "text/jinja_operator.h"
#include "text/jinja_predicate.h"

namespace sputnik::jinja {

// Names that were set, as far as the part of the template reaches that set them: a loop's round, a macro's call.
struct Scope {
  const Scope* parent;
  std::vector<std::pair<std::string_view, Value>> names;
};

struct Macro {
  const std::string* name;
  const std::vector<Parameter>* parameters;
  const Block* body;
  const Scope* scope;  // where it was defined
};

namespace {

constexpr int kDeepestCalls = 500;  // statements and expressions inside one another, calls of macros included

// What a statement does to the loop around it.
enum class Flow { kNext, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(Heap& heap, const Dict& variables, int64_t now) : heap_(heap), variables_(variables), now_(now) {}

  Text Run(const Block& block) {
    try {
      scope_ = NewScope(nullptr);
      return Captured(block);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("line {}: {}", line_, error.what()));
    }
  }

 private:
  // Counts how deep things are inside one another.
  struct Level {
    explicit Level(int& depth) : depth_(depth) {
      if (++depth_ > kDeepestCalls) ThrowBadInput("calls are nested deeper than {} levels", kDeepestCalls);
    }
    ~Level() { --depth_; }
    int& depth_;
  };
  // A scope for as long as this lives.
  struct Inside {
    Inside(Evaluator& evaluator, Scope* scope) : evaluator_(evaluator), before_(evaluator.scope_) {
      evaluator.scope_ = scope;
    }
    ~Inside() { evaluator_.scope_ = before_; }
    Evaluator& evaluator_;
    Scope* before_;
  };

  Scope* NewScope(const Scope* parent) {
    heap_.Charge(sizeof(Scope));
    return &scopes_.emplace_back(Scope{parent, {}});
  }
  void Set(std::string_view name, const Value& value) {
    for (auto& [known, old] : scope_->names) {
      if (known == name) return void(old = value);
    }
    heap_.Charge(sizeof(value) + sizeof(name));
    scope_->names.emplace_back(name, value);
  }
  Value Get(const std::string& name) {
    for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
      heap_.Step(static_cast<int64_t>(scope->names.size() / 16));
      for (const auto& [known, value] : scope->names) {
        if (known == name) return value;
      }
    }
    if (const Value* found = variables_.Find(name)) return *found;
    return GlobalFunction(heap_, name);
  }

  // --- statements

  void Print(const Text& text) {
    heap_.Charge(text.size());
    if (out_->size() + text.size() > kLargestOutput) {
      ThrowBadInput("it prints more than {} bytes, the most a template may", kLargestOutput);
    }
    out_->Append(text);
  }
  // What `block` prints, apart from the rest.
  Text Captured(const Block& block) {
    Text text;
    Text* before = std::exchange(out_, &text);
    Execute(block);
    out_ = before;
    return text;
  }

  Flow Execute(const Block& block) {
    for (const auto& statement : block) {
      const Flow flow = Execute(*statement);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }
  Flow Execute(const Statement& s) {
    const Level level(depth_);
    heap_.Step();
    line_ = s.line;
    switch (s.kind) {
      case Statement::Kind::kText: Print(s.text); break;
      case Statement::Kind::kPrint: Print(Display(heap_, Evaluate(*s.value))); break;
      case Statement::Kind::kFor: return For(s);
      case Statement::Kind::kIf: return Execute(Truth(Evaluate(*s.value)) ? s.body : s.other);
      case Statement::Kind::kSet: Assign(*s.target, Evaluate(*s.value)); break;
      case Statement::Kind::kSetBlock: {
        Value value;
        {
          const Inside inside(*this, NewScope(scope_));
          value = Filtered(s);
        }
        Assign(*s.target, value);
        break;
      }
      case Statement::Kind::kFilterBlock: {
        const Inside inside(*this, NewScope(scope_));
        Print(Display(heap_, Filtered(s)));
        break;
      }
      case Statement::Kind::kMacro: Set(s.name, NewMacro(s.name, s)); break;
      case Statement::Kind::kCallBlock: Print(Display(heap_, CallWithBody(s))); break;
      case Statement::Kind::kWith: {
        Scope* scope = NewScope(scope_);
        for (const auto& [target, value] : s.bindings) {
          const Value bound = Evaluate(*value);
          const Inside inside(*this, scope);
          Assign(*target, bound);
        }
        const Inside inside(*this, scope);
        return Execute(s.body);
      }
      case Statement::Kind::kGeneration: {
        const Inside inside(*this, NewScope(scope_));
        Text text = Captured(s.body);
        text.marks.resize(text.size(), 0);
        for (char& mark : text.marks) mark |= kGenerated;
        Print(text);
        break;
      }
      case Statement::Kind::kBreak: return Flow::kBreak;
      case Statement::Kind::kContinue: return Flow::kContinue;
    }
    return Flow::kNext;
  }

  // The body's text through the statement's filters, if it has any.
  Value Filtered(const Statement& s) {
    const Value text = heap_.Make(Captured(s.body));
    if (!s.value) return text;
    const Value before = std::exchange(filtered_, text);
    const Value result = Evaluate(*s.value);
    filtered_ = before;
    return result;
  }

  void Assign(const Expression& target, const Value& value) {
    if (target.kind == Expression::Kind::kName) {
      Set(target.name, value);
    } else if (target.kind == Expression::Kind::kAttribute) {
      const Value space = Get(target.parts[0]->name);
      if (!space.is(Kind::kNamespace)) ThrowBadInput("{} is no namespace", target.parts[0]->name);
      if (target.name.starts_with('_')) {
        ThrowBadInput("a namespace cannot hold {}: names with an underscore in front are closed", target.name);
      }
      heap_.Charge(sizeof(Value) * 2);
      space.dict->Set(heap_.Make(target.name), value);
    } else {
      const std::vector<Value> values = Iterate(heap_, value);
      if (values.size() != target.parts.size()) {
        ThrowBadInput("{} values for {} names", values.size(), target.parts.size());
      }
      for (size_t i = 0; i < values.size(); ++i) Assign(*target.parts[i], values[i]);
    }
  }

  Flow For(const Statement& s) {
    std::vector<Value> items = Iterate(heap_, Evaluate(*s.value));
    if (s.condition) {
      std::vector<Value> kept;
      for (const Value& item : items) {
        const Inside inside(*this, NewScope(scope_));
        Assign(*s.target, item);
        if (Truth(Evaluate(*s.condition))) kept.push_back(item);
      }
      items = std::move(kept);
    }
    Value loop;
    loop.kind = Kind::kLoop;
    loop.loop = heap_.Keep(Loop{std::move(items), 0, 0, nullptr});
    bool completed = false;  // a round to its end: that is what jinja2 keeps `else` back for
    Flow flow = Flow::kNext;
    for (const Value& item : loop.loop->items) {
      const Inside inside(*this, NewScope(scope_));
      heap_.Step(4);
      Set("loop", loop);
      Assign(*s.target, item);
      flow = Execute(s.body);
      if (flow == Flow::kBreak) break;
      completed = completed || flow == Flow::kNext;
      ++loop.loop->index0;
    }
    if (completed || s.other.empty()) return Flow::kNext;
    const Inside inside(*this, NewScope(scope_));
    return Execute(s.other);
  }

  // --- macros

  Value NewMacro(const std::string& name, const Statement& s) {
    heap_.Charge(sizeof(Macro));
    Value value;
    value.kind = Kind::kMacro;
    value.macro = &macros_.emplace_back(Macro{&name, &s.parameters, &s.body, scope_});
    return value;
  }

  Value CallWithBody(const Statement& s) {
    static const std::string kCaller = "caller";
    const Value callee = Evaluate(*s.value->parts[0]);
    jinja::Arguments arguments = Passed(*s.value);
    arguments.named.emplace_back(kCaller, NewMacro(kCaller, s));
    return Call(callee, std::move(arguments));
  }

  Value CallMacro(const Macro& macro, jinja::Arguments arguments) {
    const Level level(depth_);
    const std::vector<Parameter>& parameters = *macro.parameters;
    if (arguments.plain.size() > parameters.size()) {
      ThrowBadInput("the macro {} takes at most {} arguments, not {}", *macro.name, parameters.size(),
                    arguments.plain.size());
    }
    const int line = line_;
    const Inside inside(*this, NewScope(macro.scope));
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                      [&](const auto& argument) { return argument.first == parameters[i].name; });
      Value value = Undefined(&parameters[i].name);
      if (i < arguments.plain.size()) {
        value = arguments.plain[i];
      } else if (named != arguments.named.end()) {
        value = named->second;
        arguments.named.erase(named);
      } else if (parameters[i].fallback) {
        value = Evaluate(*parameters[i].fallback);
      }
      Set(parameters[i].name, value);
    }
    for (const auto& [name, value] : arguments.named) {
      if (name != "caller") ThrowBadInput("the macro {} has no argument {}", *macro.name, name);
      Set("caller", value);
    }
    Set("varargs", heap_.MakeTuple({}));
    Set("kwargs", heap_.MakeDict());
    const Value result = heap_.Make(Captured(*macro.body));
    line_ = line;
    return result;
  }

  Value Call(const Value& callee, jinja::Arguments arguments) {
    if (callee.is(Kind::kMacro)) return CallMacro(*callee.macro, std::move(arguments));
    if (callee.is(Kind::kFunction)) return CallFunction(heap_, *callee.function, arguments, now_);
    if (callee.IsUndefined()) {
      ThrowBadInput("{} is undefined or not open to templates, and cannot be called",
                    callee.name ? *callee.name : "this");
    }
    ThrowBadInput("a value of type {} cannot be called", TypeName(callee));
  }

  // --- expressions

  jinja::Arguments Passed(const Expression& call) {
    jinja::Arguments arguments;
    for (const Argument& argument : call.arguments) {
      const Value value = Evaluate(*argument.value);
      switch (argument.kind) {
        case Argument::Kind::kPlain: arguments.plain.push_back(value); break;
        case Argument::Kind::kNamed: arguments.named.emplace_back(argument.name, value); break;
        case Argument::Kind::kList:
          for (const Value& item : Iterate(heap_, value)) arguments.plain.push_back(item);
          break;
        case Argument::Kind::kDict:
          if (!value.is(Kind::kDict)) ThrowBadInput("** needs a dict, not {}", TypeName(value));
          for (const auto& [key, item] : value.dict->entries) {
            if (!key.IsText()) ThrowBadInput("** needs texts as keys");
            arguments.named.emplace_back(key.text->bytes, item);
          }
          break;
      }
    }
    return arguments;
  }

  std::vector<Value> All(const Expression& e) {
    std::vector<Value> values;
    for (const ExpressionPtr& part : e.parts) values.push_back(Evaluate(*part));
    return values;
  }

  Value Evaluate(const Expression& e) {
    const Level level(depth_);
    heap_.Step();
    line_ = e.line;
    using K = Expression::Kind;
    switch (e.kind) {
      case K::kConstant: return e.constant;
      case K::kName: return Get(e.name);
      case K::kList: return heap_.MakeList(All(e));
      case K::kTuple: return heap_.MakeTuple(All(e));
      case K::kDict: return DictOf(e);
      case K::kAttribute: return Attribute(heap_, Evaluate(*e.parts[0]), e.name);
      case K::kItem: {
        const Value object = Evaluate(*e.parts[0]);
        return Subscript(heap_, object, Evaluate(*e.parts[1]));
      }
      case K::kSlice: return SliceOf(e);
      case K::kCall: {
        const Value callee = Evaluate(*e.parts[0]);
        jinja::Arguments arguments = Passed(e);
        line_ = e.line;
        return Call(callee, std::move(arguments));
      }
      case K::kFilter: {
        const Value value = e.parts[0] ? Evaluate(*e.parts[0]) : filtered_;
        const jinja::Arguments arguments = Passed(e);
        line_ = e.line;
        return ApplyFilter(heap_, e.name, value, arguments);
      }
      case K::kTest: {
        const Value value = Evaluate(*e.parts[0]);
        return Bool(Holds(heap_, e.name, value, Passed(e)));
      }
      case K::kNot: return Bool(!Truth(Evaluate(*e.parts[0])));
      case K::kNegative: return Negative(Evaluate(*e.parts[0]));
      case K::kPositive: return Positive(Evaluate(*e.parts[0]));
      case K::kAnd:
      case K::kOr: {
        const Value left = Evaluate(*e.parts[0]);
        return Truth(left) == (e.kind == K::kOr) ? left : Evaluate(*e.parts[1]);
      }
      case K::kChoice:
        if (Truth(Evaluate(*e.parts[0]))) return Evaluate(*e.parts[1]);
        return e.parts[2] ? Evaluate(*e.parts[2]) : Undefined();
      case K::kBinary: {
        const Value left = Evaluate(*e.parts[0]), right = Evaluate(*e.parts[1]);
        line_ = e.line;
        return Operate(heap_, e.operations[0], left, right);
      }
      case K::kCompare: return CompareOf(e);
      case K::kConcat: return ConcatOf(e);
    }
    return Undefined();
  }

  Value DictOf(const Expression& e) {
    const Value dict = heap_.MakeDict();
    for (size_t i = 0; i < e.parts.size(); i += 2) {
      const Value key = Evaluate(*e.parts[i]);
      if (key.is(Kind::kList) || key.is(Kind::kDict)) ThrowBadInput("a {} cannot be a key", TypeName(key));
      heap_.Charge(sizeof(Value) * 4);
      dict.dict->Set(key, Evaluate(*e.parts[i + 1]));
    }
    return dict;
  }
  Value SliceOf(const Expression& e) {
    const Value object = Evaluate(*e.parts[0]);
    Value bounds[3];
    const Value* given[3];
    for (size_t i = 0; i < 3; ++i) {
      if (e.parts[i + 1]) bounds[i] = Evaluate(*e.parts[i + 1]);
      given[i] = e.parts[i + 1] ? &bounds[i] : nullptr;
    }
    return Slice(heap_, object, given[0], given[1], given[2]);
  }
  Value CompareOf(const Expression& e) {
    Value left = Evaluate(*e.parts[0]), result;
    for (size_t i = 0; i < e.operations.size(); ++i) {
      const Value right = Evaluate(*e.parts[i + 1]);
      result = Operate(heap_, e.operations[i], left, right);
      if (!Truth(result)) break;
      left = right;
    }
    return result;
  }
  Value ConcatOf(const Expression& e) {
    Text text;
    for (const ExpressionPtr& part : e.parts) {
      const Text next = Display(heap_, Evaluate(*part));
      heap_.Charge(next.size());
      text.Append(next);
    }
    return heap_.Make(std::move(text));
  }

  Heap& heap_;
  const Dict& variables_;
  const int64_t now_;
  std::deque<Scope> scopes_;
  std::deque<Macro> macros_;
  Scope* scope_ = nullptr;
  Text* out_ = nullptr;
  Value filtered_;  // what a filter block printed
  int line_ = 1, depth_ = 0;
};

}  // namespace

Text Run(Heap& heap, const Block& block, const Dict& variables, int64_t now) {
  return Evaluator(heap, variables, now).Run(block);
}

}  // namespace sputnik::jinja
