#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace sputnik {

void CheckFailed(const char* file, int line, std::string_view expression, std::string_view values) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %.*s", file, line, static_cast<int>(expression.size()), expression.data());
  if (!values.empty()) std::fprintf(stderr, " (%.*s)", static_cast<int>(values.size()), values.data());
  std::fprintf(stderr, "\nThis is a bug in sputnik. Please report it with the line above and `sputnik doctor`.\n");
  std::abort();
}

}  // namespace sputnik
