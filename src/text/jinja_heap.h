// Where the values of one rendering live, and what they may cost.
#pragma once

#include <deque>
#include <string_view>
#include <tuple>
#include <vector>

#include "text/jinja_value.h"

namespace sputnik::jinja {

// Holds everything that one rendering makes, until its end, and counts what it costs. Beyond the budget, Charge throws.
class Heap {
 public:
  Heap(int64_t steps, int64_t bytes) : steps_(steps), bytes_(bytes) {}
  void Step(int64_t count = 1) {
    if ((steps_ -= count) < 0) OutOfSteps();
  }
  void Charge(size_t bytes);  // before taking them; work in proportion is counted as steps

  Value Make(Text text);
  Value Make(std::string_view text) { return Make(Text(text)); }
  Value MakeList(std::vector<Value> items) { return Sequence(Kind::kList, std::move(items)); }
  Value MakeTuple(std::vector<Value> items) { return Sequence(Kind::kTuple, std::move(items)); }
  Value MakeView(std::string_view type, std::vector<Value> items);
  Value MakeStream(std::vector<Value> items);
  Value MakeDict(Kind kind = Kind::kDict);
  template <class T>
  T* Keep(T thing) {
    Charge(sizeof(T));
    return &std::get<std::deque<T>>(kept_).emplace_back(std::move(thing));
  }

 private:
  Value Sequence(Kind kind, std::vector<Value> items);
  [[noreturn]] static void OutOfSteps();

  int64_t steps_, bytes_;
  std::tuple<std::deque<Text>, std::deque<List>, std::deque<Dict>, std::deque<View>, std::deque<Stream>,
             std::deque<Loop>, std::deque<Function>>
      kept_;
};

// What `for` goes through: items, characters, keys. A stream is used up. Throws Error for what cannot be gone through.
std::vector<Value> Iterate(Heap& heap, const Value& value);

}  // namespace sputnik::jinja
