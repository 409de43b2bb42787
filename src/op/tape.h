// A list of closures that undo the ops of one pass, run backwards once. Lives in the pass's arena and dies with its
// mark.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "tensor/arena.h"

namespace sputnik {

class Tape {
 public:
  explicit Tape(Arena& arena) : arena_(arena) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // `backward` captures by value what it needs: tensors (views) and plain numbers.
  template <class F>
  void Record(F&& backward) {
    using Closure = std::decay_t<F>;
    static_assert(std::is_trivially_destructible_v<Closure>, "a tape never destroys its closures");
    auto* entry = static_cast<Entry<Closure>*>(arena_.Allocate(sizeof(Entry<Closure>)));
    new (entry) Entry<Closure>{{last_, [](Node* node) { static_cast<Entry<Closure>*>(node)->closure(); }},
                               std::forward<F>(backward)};
    last_ = entry;
  }

  // Runs every closure, last first, and forgets them. Seeds must have been written into gradients before.
  void Backward() {
    for (Node* node = std::exchange(last_, nullptr); node != nullptr; node = node->previous) node->run(node);
  }

 private:
  struct Node {
    Node* previous;
    void (*run)(Node*);
  };
  template <class Closure>
  struct Entry : Node {
    Closure closure;
  };

  Arena& arena_;
  Node* last_ = nullptr;
};

}  // namespace sputnik
