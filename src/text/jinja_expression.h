// The expressions of a chat template as trees.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_lexer.h"
#include "text/jinja_value.h"

namespace sputnik::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Argument {
  enum class Kind : uint8_t { kPlain, kNamed, kList, kDict };  // f(x), f(name=x), f(*x), f(**x)
  Kind kind;
  std::string name;
  ExpressionPtr value;
};

enum class Operation : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expression {
  enum class Kind : uint8_t {
    kConstant,
    kName,
    kList,
    kTuple,
    kDict,       // parts: key, value, key, value, ...
    kAttribute,  // part . name
    kItem,       // part [ part ]
    kSlice,      // part [ part : part : part ], absent ones null
    kCall,       // part ( arguments )
    kFilter,     // part | name ( arguments ); a null part stands for what a filter block printed
    kTest,       // part is name ( arguments )
    kNot,
    kNegative,
    kPositive,
    kAnd,
    kOr,
    kChoice,   // parts: condition, then, else or null
    kBinary,   // part operation part
    kCompare,  // part operation part operation part ...
    kConcat,   // parts joined by ~
  };
  Kind kind;
  int line = 0;
  int height = 1;  // levels, itself included
  std::string name;
  Text text;  // what a constant text points to
  Value constant;
  std::vector<ExpressionPtr> parts;
  std::vector<Argument> arguments;
  std::vector<Operation> operations;
};

ExpressionPtr NewExpression(Expression::Kind kind, int line);
// Adds a part. Trees are kept low, so that whoever goes through one by calling itself has stack enough: throws Error.
void Grow(Expression& expression, ExpressionPtr part);

// Each reads what its name says from the tokens, and leaves them behind it. Errors (bad input) start with "line N: ".
ExpressionPtr ParseExpression(TokenStream& tokens);
// "a" or "a, b"; with `choice` also "a if b else c", which the headers of blocks do not take.
ExpressionPtr ParseTuple(TokenStream& tokens, bool choice);
// "|name(...)|..."; `inside`: the first name comes without its bar. Null when there is none.
ExpressionPtr ParseFilters(TokenStream& tokens, bool inside);

}  // namespace sputnik::jinja
