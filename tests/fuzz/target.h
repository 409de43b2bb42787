// A fuzz target: a reader of strangers' files, given any bytes. Error is its only way out; all else (a signal, a CHECK,
// a sanitizer's finding, another exception) is a finding. One file X_fuzz.cc per target, with its inputs in corpus/X:
//
//   SPUTNIK_FUZZ_TARGET(config) { ReadModelConfig(fuzz::FileHolding(input)); }
//
// With SPUTNIK_FUZZ each becomes a libFuzzer program (`make fuzz`); in every build replay_test runs it over its corpus,
// where inputs that once were findings stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sputnik::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
};

// All targets that are linked in.
std::vector<Target>& Targets();

struct Registration {
  Registration(std::string_view name, void (*run)(std::string_view)) { Targets().push_back({name, run}); }
};

inline void RunOnce(void (*run)(std::string_view), std::string_view input) {
  try {
    run(input);
  } catch (const Error&) {
  }
}

// The path of a file in memory that holds `input`, until the next call.
std::filesystem::path FileHolding(std::string_view input);

}  // namespace sputnik::fuzz

#ifdef SPUTNIK_LIBFUZZER
#define SPUTNIK_FUZZ_ENTRY(name)                                                         \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {              \
    sputnik::fuzz::RunOnce(&name##_target, {reinterpret_cast<const char*>(data), size}); \
    return 0;                                                                            \
  }
#else
#define SPUTNIK_FUZZ_ENTRY(name) static const sputnik::fuzz::Registration name##_registration(#name, &name##_target);
#endif

#define SPUTNIK_FUZZ_TARGET(name)                    \
  static void name##_target(std::string_view input); \
  SPUTNIK_FUZZ_ENTRY(name)                           \
  static void name##_target(std::string_view input)
