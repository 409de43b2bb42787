// Checks of our own invariants. A failed CHECK is a bug in this program: it prints both sides with file and line, then
// aborts. Nothing that comes from outside (files, requests, configs) may reach a CHECK; that is Error's work.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace sputnik {

[[noreturn]] void CheckFailed(const char* file, int line, std::string_view expression, std::string_view values);

template <class A, class B>
[[noreturn]] void CheckComparisonFailed(const char* file, int line, std::string_view expression, const A& a,
                                        const B& b) {
  CheckFailed(file, line, expression, fmt::format("{} vs {}", a, b));
}

}  // namespace sputnik

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::sputnik::CheckFailed(__FILE__, __LINE__, #condition, ""); \
  } while (false)

#define SPUTNIK_CHECK_COMPARE(a, op, b)                                                          \
  do {                                                                                           \
    const auto& check_a = (a);                                                                   \
    const auto& check_b = (b);                                                                   \
    if (!(check_a op check_b)) [[unlikely]]                                                      \
      ::sputnik::CheckComparisonFailed(__FILE__, __LINE__, #a " " #op " " #b, check_a, check_b); \
  } while (false)

#define CHECK_EQ(a, b) SPUTNIK_CHECK_COMPARE(a, ==, b)
#define CHECK_NE(a, b) SPUTNIK_CHECK_COMPARE(a, !=, b)
#define CHECK_LT(a, b) SPUTNIK_CHECK_COMPARE(a, <, b)
#define CHECK_LE(a, b) SPUTNIK_CHECK_COMPARE(a, <=, b)
#define CHECK_GT(a, b) SPUTNIK_CHECK_COMPARE(a, >, b)
#define CHECK_GE(a, b) SPUTNIK_CHECK_COMPARE(a, >=, b)
