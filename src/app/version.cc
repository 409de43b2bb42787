#include "app/version.h"

#include "app/output.h"
#include "base/json.h"
#include "base/version.h"

namespace sputnik {

std::vector<std::pair<std::string, std::string>> BuildVersions() {
#if defined(__clang__)
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "gcc " __VERSION__;
#endif
#if defined(NDEBUG)
  const char* build = "optimised";
#else
  const char* build = "with assertions";
#endif
#if defined(__x86_64__)
  const char* processor = "x86-64";
#elif defined(__aarch64__)
  const char* processor = "aarch64";
#else
  const char* processor = "another processor";
#endif
  return {{"sputnik", std::string(Version())},
          {"compiler", compiler},
          {"build", build},
          {"processor", processor},
          {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
          {"nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                        NLOHMANN_JSON_VERSION_PATCH)}};
}

ExitCode RunVersion(CommandLine& line) {
  bool json = false;
  line.Flag("--json", &json, "as one JSON object");
  line.Example("sputnik version --json");
  if (!line.Parse()) return ExitCode::kOk;
  OrderedJson object;
  for (const auto& [what, version] : BuildVersions()) object[what] = version;
  if (json) {
    Print(object.dump() + "\n");
    return ExitCode::kOk;
  }
  for (const auto& [what, version] : BuildVersions()) Print(fmt::format("{:<14} {}\n", what, version));
  return ExitCode::kOk;
}

}  // namespace sputnik
