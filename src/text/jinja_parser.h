// A chat template as a tree: the statements and expressions of jinja2, those of its loop controls, and transformers'
// {% generation %}.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_expression.h"

namespace sputnik::jinja {

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // or null
};

struct Statement {
  enum class Kind : uint8_t {
    kText,
    kPrint,        // value
    kFor,          // target in value, if condition: body, other
    kIf,           // value: body, other
    kSet,          // target = value
    kSetBlock,     // target = filter value (or null) of body
    kMacro,        // name(parameters): body
    kCallBlock,    // value (a call) with caller(parameters): body
    kFilterBlock,  // filter value of body
    kWith,         // bindings: body
    kGeneration,   // body
    kBreak,
    kContinue,
  };
  Kind kind;
  int line = 0;
  Text text;
  std::string name;
  ExpressionPtr target;  // a name, an attribute of a namespace, or a tuple of them
  ExpressionPtr value, condition;
  std::vector<Parameter> parameters;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> bindings;
  Block body, other;
};

// Throws Error (bad input) that starts with "line N: " and names what is wrong, or not supported.
Block Parse(std::string_view source);

}  // namespace sputnik::jinja
