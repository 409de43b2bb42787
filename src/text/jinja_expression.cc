#include "text/jinja_expression.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace sputnik::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kDeepest = 200;

ExpressionPtr New(Kind kind, int line, ExpressionPtr part = nullptr) {
  ExpressionPtr expression = NewExpression(kind, line);
  if (part) Grow(*expression, std::move(part));
  return expression;
}

void Raise(Expression& expression, const ExpressionPtr& part) {
  if (part) expression.height = std::max(expression.height, part->height + 1);
  if (expression.height > kDeepest) {
    ThrowBadInput("line {}: an expression is nested deeper than {} levels", expression.line, kDeepest);
  }
}

class Parser {
 public:
  explicit Parser(TokenStream& tokens) : in_(tokens) {}

  bool EndsTuple() const {
    return in_.now().type == Token::Type::kPrintEnd || in_.now().type == Token::Type::kBlockEnd || in_.now().Is(")");
  }
  // "a" or "a, b"; with `choice` also "a if b else c", which the headers of blocks do not take.
  ExpressionPtr TupleOrOne(bool choice = true) {
    const int line = in_.now().line;
    ExpressionPtr first = Whole(choice);
    if (!in_.now().Is(",")) return first;
    ExpressionPtr tuple = New(Kind::kTuple, line, std::move(first));
    while (in_.Take(",") && !EndsTuple()) Grow(*tuple, Whole(choice));
    return tuple;
  }

  ExpressionPtr Whole(bool choice = true) {
    if (++depth_ > 2 * kDeepest) in_.Fail("an expression is nested deeper than {} levels", kDeepest);
    ExpressionPtr expression = choice ? Choice() : Or();
    --depth_;
    return expression;
  }
  ExpressionPtr Choice() {
    const int line = in_.now().line;
    ExpressionPtr then = Or();
    while (in_.TakeName("if")) {
      ExpressionPtr choice = New(Kind::kChoice, line, Or());
      Grow(*choice, std::move(then));
      Grow(*choice, in_.TakeName("else") ? Whole() : nullptr);
      then = std::move(choice);
    }
    return then;
  }
  ExpressionPtr Or() {
    ExpressionPtr left = And();
    while (in_.TakeName("or")) Grow(*(left = New(Kind::kOr, in_.now().line, std::move(left))), And());
    return left;
  }
  ExpressionPtr And() {
    ExpressionPtr left = Not();
    while (in_.TakeName("and")) Grow(*(left = New(Kind::kAnd, in_.now().line, std::move(left))), Not());
    return left;
  }
  ExpressionPtr Not() {
    const int line = in_.now().line;
    if (!in_.TakeName("not")) return Compare();
    if (++depth_ > 2 * kDeepest) in_.Fail("an expression is nested deeper than {} levels", kDeepest);
    ExpressionPtr inner = Not();
    --depth_;
    return New(Kind::kNot, line, std::move(inner));
  }
  ExpressionPtr Compare() {
    constexpr std::array<std::pair<std::string_view, Operation>, 6> kComparisons{{{"==", Operation::kEqual},
                                                                                  {"!=", Operation::kNotEqual},
                                                                                  {"<", Operation::kLess},
                                                                                  {"<=", Operation::kLessEqual},
                                                                                  {">", Operation::kGreater},
                                                                                  {">=", Operation::kGreaterEqual}}};
    ExpressionPtr compare = New(Kind::kCompare, in_.now().line, Sum());
    for (;;) {
      const auto found = std::find_if(kComparisons.begin(), kComparisons.end(),
                                      [this](const auto& comparison) { return in_.now().Is(comparison.first); });
      if (found != kComparisons.end()) {
        in_.Pass();
        compare->operations.push_back(found->second);
      } else if (in_.TakeName("in")) {
        compare->operations.push_back(Operation::kIn);
      } else if (in_.now().IsName("not") && in_.next().IsName("in")) {
        in_.Pass();
        in_.Pass();
        compare->operations.push_back(Operation::kNotIn);
      } else {
        break;
      }
      Grow(*compare, Sum());
    }
    return compare->operations.empty() ? std::move(compare->parts[0]) : std::move(compare);
  }
  ExpressionPtr Binary(Operation operation, ExpressionPtr left, ExpressionPtr right) {
    ExpressionPtr binary = New(Kind::kBinary, in_.now().line, std::move(left));
    binary->operations.push_back(operation);
    Grow(*binary, std::move(right));
    return binary;
  }
  ExpressionPtr Sum() {
    ExpressionPtr left = Concat();
    for (;;) {
      if (in_.Take("+"))
        left = Binary(Operation::kAdd, std::move(left), Concat());
      else if (in_.Take("-"))
        left = Binary(Operation::kSubtract, std::move(left), Concat());
      else
        return left;
    }
  }
  ExpressionPtr Concat() {
    ExpressionPtr first = Product();
    if (!in_.now().Is("~")) return first;
    ExpressionPtr concat = New(Kind::kConcat, in_.now().line, std::move(first));
    while (in_.Take("~")) Grow(*concat, Product());
    return concat;
  }
  ExpressionPtr Product() {
    ExpressionPtr left = Power();
    for (;;) {
      if (in_.Take("*"))
        left = Binary(Operation::kMultiply, std::move(left), Power());
      else if (in_.Take("/"))
        left = Binary(Operation::kDivide, std::move(left), Power());
      else if (in_.Take("//"))
        left = Binary(Operation::kFloorDivide, std::move(left), Power());
      else if (in_.Take("%"))
        left = Binary(Operation::kModulo, std::move(left), Power());
      else
        return left;
    }
  }
  ExpressionPtr Power() {
    ExpressionPtr left = Unary();
    while (in_.Take("**")) left = Binary(Operation::kPower, std::move(left), Unary());
    return left;
  }
  ExpressionPtr Unary(bool filters = true) {
    const int line = in_.now().line;
    if (++depth_ > 2 * kDeepest) in_.Fail("an expression is nested deeper than {} levels", kDeepest);
    ExpressionPtr node;
    if (in_.Take("-"))
      node = New(Kind::kNegative, line, Unary(false));
    else if (in_.Take("+"))
      node = New(Kind::kPositive, line, Unary(false));
    else
      node = Primary();
    node = Postfix(std::move(node));
    while (filters) {
      if (in_.now().Is("|"))
        node = Filters(std::move(node), false);
      else if (in_.TakeName("is"))
        node = Test(std::move(node));
      else if (in_.now().Is("("))
        node = Call(std::move(node));
      else
        break;
    }
    --depth_;
    return node;
  }
  ExpressionPtr Constant(const Value& value, int line) {
    ExpressionPtr constant = New(Kind::kConstant, line);
    constant->constant = value;
    return constant;
  }
  ExpressionPtr Primary() {
    const Token token = in_.now();
    const bool starts = token.type != Token::Type::kEnd && token.type != Token::Type::kPrintEnd &&
                        token.type != Token::Type::kBlockEnd && token.type != Token::Type::kOperator;
    if (!starts && !token.Is("(") && !token.Is("[") && !token.Is("{")) in_.Fail("expected a value, not {}", in_.Seen());
    in_.Pass();
    if (token.type == Token::Type::kName) {
      if (token.text == "true" || token.text == "True") return Constant(Bool(true), token.line);
      if (token.text == "false" || token.text == "False") return Constant(Bool(false), token.line);
      if (token.text == "none" || token.text == "None") return Constant(None(), token.line);
      ExpressionPtr name = New(Kind::kName, token.line);
      name->name = token.text;
      return name;
    }
    if (token.type == Token::Type::kText) {
      ExpressionPtr text = New(Kind::kConstant, token.line);
      text->text = Text(token.text);
      for (; in_.now().type == Token::Type::kText; in_.Pass()) text->text.Append(in_.now().text);
      text->constant = {jinja::Kind::kText, &text->text};
      return text;
    }
    if (token.type == Token::Type::kInt) return Constant(Int(token.integer), token.line);
    if (token.type == Token::Type::kFloat) return Constant(Float(token.number), token.line);
    if (token.Is("(")) {
      if (in_.Take(")")) return New(Kind::kTuple, token.line);
      ExpressionPtr inner = TupleOrOne();
      in_.Expect(")");
      return inner;
    }
    if (token.Is("[")) {
      ExpressionPtr list = New(Kind::kList, token.line);
      while (!in_.Take("]")) {
        if (!list->parts.empty()) in_.Expect(",");
        if (in_.Take("]")) break;
        Grow(*list, Whole());
      }
      return list;
    }
    {
      ExpressionPtr dict = New(Kind::kDict, token.line);
      while (!in_.Take("}")) {
        if (!dict->parts.empty()) in_.Expect(",");
        if (in_.Take("}")) break;
        Grow(*dict, Whole());
        in_.Expect(":");
        Grow(*dict, Whole());
      }
      return dict;
    }
  }

  ExpressionPtr Postfix(ExpressionPtr node) {
    for (;;) {
      const int line = in_.now().line;
      if (in_.now().Is("(")) {
        node = Call(std::move(node));
      } else if (in_.Take("[")) {
        node = Subscript(std::move(node), line);
      } else if (in_.Take(".")) {
        if (in_.now().type == Token::Type::kInt) {
          node = New(Kind::kItem, line, std::move(node));
          Grow(*node, Constant(Int(in_.now().integer), line));
          in_.Pass();
        } else {
          node = New(Kind::kAttribute, line, std::move(node));
          node->name = in_.Name();
        }
      } else {
        return node;
      }
    }
  }
  ExpressionPtr Subscript(ExpressionPtr node, int line) {
    ExpressionPtr item = New(Kind::kItem, line, std::move(node));
    ExpressionPtr first = in_.now().Is(":") ? nullptr : Whole();
    if (in_.now().Is(":")) {
      item->kind = Kind::kSlice;
      Grow(*item, std::move(first));
      for (int i = 0; i < 2; ++i) {
        const bool present = in_.Take(":") && !in_.now().Is(":") && !in_.now().Is("]");
        Grow(*item, present ? Whole() : nullptr);
      }
    } else {
      Grow(*item, std::move(first));
    }
    in_.Expect("]");
    return item;
  }
  ExpressionPtr Call(ExpressionPtr node) {
    ExpressionPtr call = New(Kind::kCall, in_.now().line, std::move(node));
    Arguments(*call);
    return call;
  }
  void Arguments(Expression& call) {
    in_.Expect("(");
    while (!in_.Take(")")) {
      if (!call.arguments.empty()) in_.Expect(",");
      if (in_.Take(")")) return;
      Argument argument{Argument::Kind::kPlain, "", nullptr};
      if (in_.Take("*")) {
        argument.kind = Argument::Kind::kList;
      } else if (in_.Take("**")) {
        argument.kind = Argument::Kind::kDict;
      } else if (in_.now().type == Token::Type::kName && in_.next().Is("=")) {
        argument.kind = Argument::Kind::kNamed;
        argument.name = in_.Name();
        in_.Pass();
      } else if (!call.arguments.empty() && call.arguments.back().kind != Argument::Kind::kPlain) {
        in_.Fail("an argument without a name after one with");
      }
      argument.value = Whole();
      Raise(call, argument.value);
      call.arguments.push_back(std::move(argument));
    }
  }
  // name|name(...)|...; `inside`: the first name comes without its bar.
  ExpressionPtr Filters(ExpressionPtr node, bool inside) {
    for (; inside || in_.Take("|"); inside = false) {
      ExpressionPtr filter = New(Kind::kFilter, in_.now().line, nullptr);
      Grow(*filter, std::move(node));
      filter->name = in_.Name();
      if (in_.now().Is("(")) Arguments(*filter);
      node = std::move(filter);
    }
    return node;
  }
  ExpressionPtr Test(ExpressionPtr node) {
    const int line = in_.now().line;
    const bool negated = in_.TakeName("not");
    ExpressionPtr test = New(Kind::kTest, line, std::move(node));
    test->name = in_.Name();
    const Token::Type type = in_.now().type;
    if (in_.now().Is("(")) {
      Arguments(*test);
    } else if (type == Token::Type::kName || type == Token::Type::kText || type == Token::Type::kInt ||
               type == Token::Type::kFloat || in_.now().Is("[") || in_.now().Is("{")) {
      if (in_.Sees({"is"})) in_.Fail("tests cannot be chained with is");
      if (!in_.Sees({"else", "or", "and"})) {
        Argument argument{Argument::Kind::kPlain, "", Postfix(Primary())};
        Raise(*test, argument.value);
        test->arguments.push_back(std::move(argument));
      }
    }
    return negated ? New(Kind::kNot, line, std::move(test)) : std::move(test);
  }

  TokenStream& in_;
  int depth_ = 0;
};

}  // namespace

ExpressionPtr NewExpression(Expression::Kind kind, int line) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = line;
  return expression;
}

void Grow(Expression& expression, ExpressionPtr part) {
  Raise(expression, part);
  expression.parts.push_back(std::move(part));
}

ExpressionPtr ParseExpression(TokenStream& tokens) { return Parser(tokens).Whole(); }
ExpressionPtr ParseTuple(TokenStream& tokens, bool choice) { return Parser(tokens).TupleOrOne(choice); }
ExpressionPtr ParseFilters(TokenStream& tokens, bool inside) { return Parser(tokens).Filters(nullptr, inside); }

}  // namespace sputnik::jinja
