#include "text/jinja_parser.h"

#include "base/error.h"
#include "text/jinja_lexer.h"

namespace sputnik::jinja {
namespace {

using Kind = Expression::Kind;
using Names = TokenStream::Names;

constexpr int kDeepest = 100;  // levels of blocks

class Parser {
 public:
  explicit Parser(std::string_view source) : in_(Tokenize(source)) {}

  Block Run() { return Statements({}); }

 private:
  // Up to a block that starts with one of `ends`, whose name is left to be read; without `ends` to the template's end.
  Block Statements(Names ends) {
    if (++depth_ > kDeepest) in_.Fail("blocks are nested deeper than {} levels", kDeepest);
    Block block;
    for (;;) {
      const Token& token = in_.now();
      if (token.type == Token::Type::kEnd) {
        if (ends.size() > 0) in_.Fail("the template ends without {}", *(ends.end() - 1));
        break;
      }
      in_.Pass();
      if (token.type == Token::Type::kData) {
        block.push_back(New(Statement::Kind::kText, token.line));
        block.back()->text = Text(token.text);
      } else if (token.type == Token::Type::kPrintBegin) {
        block.push_back(New(Statement::Kind::kPrint, token.line));
        block.back()->value = ParseTuple(in_, true);
        in_.Expect(Token::Type::kPrintEnd, "}}");
      } else if (in_.Sees(ends)) {
        break;
      } else {
        block.push_back(BlockTag());
        in_.Expect(Token::Type::kBlockEnd, "%}");
      }
    }
    --depth_;
    return block;
  }
  Block Body(Names ends) {
    in_.Take(":");
    in_.Expect(Token::Type::kBlockEnd, "%}");
    return Statements(ends);
  }
  // The same, with the closing tag's name read.
  Block BodyUpTo(std::string_view end) {
    Block body = Body({end});
    in_.Pass();
    return body;
  }
  // A body that is called, or rendered apart: the loops around it cannot be left from inside.
  Block Enclosed(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Block body = BodyUpTo(end);
    loops_ = loops;
    return body;
  }

  std::unique_ptr<Statement> New(Statement::Kind kind, int line) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  std::unique_ptr<Statement> BlockTag() {
    const int line = in_.now().line;
    if (in_.now().type != Token::Type::kName) in_.Fail("expected a tag's name, not {}", in_.Seen());
    const std::string tag = in_.now().text;
    if (tag == "if") return If();
    in_.Pass();
    if (tag == "for") return For(line);
    if (tag == "set") return Set(line);
    if (tag == "macro") {
      auto macro = New(Statement::Kind::kMacro, line);
      macro->name = in_.Name();
      macro->parameters = Signature();
      macro->body = Enclosed("endmacro");
      return macro;
    }
    if (tag == "call") {
      auto call = New(Statement::Kind::kCallBlock, line);
      if (in_.now().Is("(")) call->parameters = Signature();
      call->value = ParseExpression(in_);
      if (call->value->kind != Kind::kCall) in_.Fail("expected a call after {{% call");
      call->body = Enclosed("endcall");
      return call;
    }
    if (tag == "filter") {
      auto filter = New(Statement::Kind::kFilterBlock, line);
      filter->value = ParseFilters(in_, true);
      filter->body = BodyUpTo("endfilter");
      return filter;
    }
    if (tag == "with") return With(line);
    if (tag == "generation") {
      auto generation = New(Statement::Kind::kGeneration, line);
      generation->body = Enclosed("endgeneration");
      return generation;
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) in_.Fail("{} outside a loop", tag);
      return New(tag == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue, line);
    }
    ThrowBadInput("line {}: the tag {{% {} %}} is not supported in chat templates here", line, tag);
  }

  std::unique_ptr<Statement> If() {
    constexpr int kMostBranches = 300;  // each stands inside the one before
    std::unique_ptr<Statement> first;
    Statement* last = nullptr;
    for (int branches = 0; last == nullptr || in_.Sees({"elif"}); ++branches) {
      if (branches > kMostBranches) in_.Fail("more than {} elif", kMostBranches);
      auto statement = New(Statement::Kind::kIf, in_.now().line);
      in_.Pass();
      statement->value = ParseTuple(in_, false);
      statement->body = Body({"elif", "else", "endif"});
      Statement* added = statement.get();
      if (last == nullptr) {
        first = std::move(statement);
      } else {
        last->other.push_back(std::move(statement));
      }
      last = added;
    }
    if (in_.TakeName("else")) {
      last->other = BodyUpTo("endif");
    } else {
      in_.Pass();
    }
    return first;
  }

  std::unique_ptr<Statement> For(int line) {
    auto loop = New(Statement::Kind::kFor, line);
    loop->target = Target(false);
    if (loop->target->name == "loop") in_.Fail("loop cannot be a loop's own name");
    in_.ExpectName("in");
    loop->value = ParseTuple(in_, false);
    if (in_.TakeName("if")) loop->condition = ParseExpression(in_);
    if (in_.Sees({"recursive"})) in_.Fail("recursive loops are not supported in chat templates here");
    ++loops_;
    loop->body = Body({"endfor", "else"});
    --loops_;
    if (in_.TakeName("else")) {
      loop->other = BodyUpTo("endfor");
    } else {
      in_.Pass();
    }
    return loop;
  }

  std::unique_ptr<Statement> Set(int line) {
    auto set = New(Statement::Kind::kSet, line);
    set->target = Target(true);
    if (in_.Take("=")) {
      set->value = ParseTuple(in_, true);
      return set;
    }
    set->kind = Statement::Kind::kSetBlock;
    set->value = ParseFilters(in_, false);
    set->body = BodyUpTo("endset");
    return set;
  }

  std::unique_ptr<Statement> With(int line) {
    auto with = New(Statement::Kind::kWith, line);
    while (in_.now().type != Token::Type::kBlockEnd && !in_.now().Is(":")) {
      if (!with->bindings.empty()) in_.Expect(",");
      ExpressionPtr target = TargetName(false);
      in_.Expect("=");
      with->bindings.emplace_back(std::move(target), ParseExpression(in_));
    }
    with->body = BodyUpTo("endwith");
    return with;
  }

  std::vector<Parameter> Signature() {
    std::vector<Parameter> parameters;
    in_.Expect("(");
    while (!in_.Take(")")) {
      if (!parameters.empty()) in_.Expect(",");
      parameters.push_back({in_.Name(), nullptr});
      if (in_.Take("=")) {
        parameters.back().fallback = ParseExpression(in_);
      } else if (parameters.size() > 1 && parameters[parameters.size() - 2].fallback) {
        in_.Fail("a parameter without a default after one with");
      }
    }
    return parameters;
  }

  ExpressionPtr TargetName(bool namespaces) {
    const int line = in_.now().line;
    if (in_.Take("(")) {
      ExpressionPtr target = Target(namespaces);
      in_.Expect(")");
      return target;
    }
    ExpressionPtr target = NewExpression(Kind::kName, line);
    target->name = in_.Name();
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (target->name == constant) in_.Fail("{} cannot be set", constant);
    }
    if (namespaces && in_.Take(".")) {
      ExpressionPtr attribute = NewExpression(Kind::kAttribute, line);
      Grow(*attribute, std::move(target));
      attribute->name = in_.Name();
      return attribute;
    }
    return target;
  }
  ExpressionPtr Target(bool namespaces) {
    ExpressionPtr target = TargetName(namespaces);
    if (!in_.now().Is(",")) return target;
    ExpressionPtr tuple = NewExpression(Kind::kTuple, in_.now().line);
    Grow(*tuple, std::move(target));
    while (in_.Take(",")) {
      if (in_.Sees({"in"}) || in_.now().Is("=") || in_.now().Is(")") || in_.now().type == Token::Type::kBlockEnd) break;
      Grow(*tuple, TargetName(namespaces));
    }
    return tuple;
  }

  TokenStream in_;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Block Parse(std::string_view source) { return Parser(source).Run(); }

}  // namespace sputnik::jinja
