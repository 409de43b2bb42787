// Many strings in one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

// String i is bytes [starts[i], starts[i + 1]).
struct TokenTable {
  std::string bytes;
  std::vector<uint64_t> starts{0};

  int32_t size() const { return static_cast<int32_t>(starts.size()) - 1; }
  std::string_view operator[](int32_t i) const {
    const auto at = static_cast<size_t>(i);
    return std::string_view(bytes).substr(starts[at], starts[at + 1] - starts[at]);
  }
  void Add(std::string_view text) {
    bytes += text;
    starts.push_back(bytes.size());
  }
};

}  // namespace sputnik
