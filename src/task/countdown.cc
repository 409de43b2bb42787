#include "task/countdown.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "task/expression.h"
#include "task/think_answer.h"

namespace sputnik {
namespace {

struct Term {
  int64_t value;
  std::string text;
  char symbol;  // of its last operation; 0 for a number
};

// One way through all the numbers: its steps as text, and where it ends.
struct Attempt {
  std::string steps;
  Term end;
};

int Precedence(char symbol) { return symbol == 0 ? 3 : symbol == '*' || symbol == '/' ? 2 : 1; }

// Nothing where a demonstration does not go: results that are not positive whole numbers.
std::optional<int64_t> Apply(char symbol, int64_t a, int64_t b) {
  switch (symbol) {
    case '+': return a + b;
    case '-': return a > b ? std::optional(a - b) : std::nullopt;
    case '*': return a * b;
    default: return a % b == 0 ? std::optional(a / b) : std::nullopt;
  }
}

Term Combine(char symbol, int64_t value, const Term& a, const Term& b) {
  const int own = Precedence(symbol);
  const bool wrap_b = Precedence(b.symbol) < own || (Precedence(b.symbol) == own && (symbol == '-' || symbol == '/'));
  const auto wrapped = [](const Term& term, bool wrap) { return wrap ? fmt::format("({})", term.text) : term.text; };
  return {value, fmt::format("{}{}{}", wrapped(a, Precedence(a.symbol) < own), symbol, wrapped(b, wrap_b)), symbol};
}

std::optional<Attempt> DrawAttempt(const std::vector<int64_t>& numbers, Random& random) {
  std::vector<Term> terms;
  for (const int64_t number : numbers) terms.push_back({number, fmt::format("{}", number), 0});
  Attempt attempt;
  const auto take = [&] {
    const auto place = static_cast<ptrdiff_t>(random.Below(terms.size()));
    Term term = std::move(terms[static_cast<size_t>(place)]);
    terms.erase(terms.begin() + place);
    return term;
  };
  while (terms.size() > 1) {
    Term a = take(), b = take();
    const char symbol = "+-*/"[random.Below(4)];
    // The larger term of a sum or product comes first: half as many facts to learn.
    if ((symbol == '+' || symbol == '*') && a.value < b.value) std::swap(a, b);
    const std::optional<int64_t> value = Apply(symbol, a.value, b.value);
    if (!value) return std::nullopt;
    if (!attempt.steps.empty()) attempt.steps += ' ';
    attempt.steps += fmt::format("{}{}{}={}", a.value, symbol, b.value, *value);
    terms.push_back(Combine(symbol, *value, a, b));
  }
  attempt.end = std::move(terms[0]);
  return attempt;
}

uint64_t HashNumbers(std::vector<int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  uint64_t hash = numbers.size();
  for (const int64_t number : numbers) hash = HashCombine(hash, static_cast<uint64_t>(number));
  return hash;
}

// Reads "3 5 2=16" back. Throws Error (bad input) for a prompt of another form.
void ParsePrompt(const std::string& prompt, std::vector<int64_t>& numbers, int64_t& target) {
  const char* place = prompt.data();
  const char* const end = place + prompt.size();
  // A number is followed by a space, the last one by "=", the target by nothing.
  for (char before = ' ';;) {
    int64_t value = 0;
    const auto [next, error] = std::from_chars(place, end, value);
    if (error != std::errc()) break;
    if (before == '=') {
      if (next != end) break;
      target = value;
      return;
    }
    numbers.push_back(value);
    if (next == end || (*next != ' ' && *next != '=')) break;
    before = *next;
    place = next + 1;
  }
  ThrowBadInput("task countdown: \"{}\" is no problem of this task; expected such as 3 5 2=16", prompt);
}

bool Solves(std::string_view answer, std::vector<int64_t> numbers, int64_t target) {
  std::optional<Evaluated> result = EvaluateExpression(answer);
  if (!result || result->value != target) return false;
  std::sort(numbers.begin(), numbers.end());
  std::sort(result->numbers.begin(), result->numbers.end());
  return result->numbers == numbers;
}

}  // namespace

Countdown::Countdown(const CountdownOptions& options) : options_(options) {
  const auto check = [](std::string_view option, int64_t value, int64_t lowest, int64_t highest) {
    if (value >= lowest && value <= highest) return;
    ThrowUsage("task countdown: {} is {} and must lie in {} to {}", option, value, lowest, highest);
  };
  check("numbers", options.numbers, 2, 4);
  check("tries", options.tries, 0, 64);
  check("highest_target", options.highest_target, 10, 100000);
  CheckFormatWeight(options.format_weight);
}

Problem Countdown::Make(uint64_t seed, int64_t level, uint64_t index, Split split) const {
  CheckLevel(*this, level);
  Random random(seed, kStreamTask, HashCombine(static_cast<uint64_t>(level), index));
  std::vector<int64_t> numbers(static_cast<size_t>(options_.numbers));
  std::optional<Attempt> solution;
  while (!solution) {
    do {
      for (int64_t& number : numbers) number = 1 + static_cast<int64_t>(random.Below(static_cast<uint64_t>(level)));
    } while (SplitOf(HashNumbers(numbers)) != split);
    solution = DrawAttempt(numbers, random);
    if (solution && solution->end.value > options_.highest_target) solution.reset();
  }

  std::string thought;
  std::set<std::string> seen;
  int64_t misses = static_cast<int64_t>(random.Below(static_cast<uint64_t>(options_.tries) + 1));
  for (int64_t draws = 0; misses > 0 && draws < 100 * options_.tries; ++draws) {
    const std::optional<Attempt> miss = DrawAttempt(numbers, random);
    if (!miss || miss->end.value == solution->end.value || !seen.insert(miss->steps).second) continue;
    thought += miss->steps + " no ";
    --misses;
  }
  thought += solution->steps + " yes";

  std::string prompt;
  for (const int64_t number : numbers) prompt += fmt::format("{}{}", prompt.empty() ? "" : " ", number);
  prompt += fmt::format("={}", solution->end.value);
  return {.prompt = std::move(prompt), .answer = WriteThinkAnswer(thought, solution->end.text), .level = level};
}

Score Countdown::Grade(const Problem& problem, std::string_view completion) const {
  std::vector<int64_t> numbers;
  int64_t target = 0;
  ParsePrompt(problem.prompt, numbers, target);
  const ThinkAnswer given = ParseThinkAnswer(completion);
  const bool correct = given.answer && Solves(*given.answer, std::move(numbers), target);
  return ThinkAnswerScore(correct, given.well_formed, options_.format_weight);
}

}  // namespace sputnik
