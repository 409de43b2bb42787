#include "app/doctor.h"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "app/local_machine.h"
#include "app/output.h"
#include "app/self_test.h"
#include "app/version.h"
#include "base/clock.h"
#include "base/json.h"
#include "kernel/backend.h"
#include "kernel/peak.h"
#include "train/memory.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// The value of "key : value" in a file of such lines, or "".
std::string ValueOf(const fs::path& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string text; std::getline(in, text);) {
    const size_t colon = text.find(':');
    if (colon == text.npos) continue;
    std::string name = text.substr(0, colon);
    name.erase(name.find_last_not_of(" \t") + 1);
    if (name != key) continue;
    const size_t begin = text.find_first_not_of(" \t", colon + 1);
    return begin == text.npos ? "" : text.substr(begin);
  }
  return {};
}

// Of all that a processor has, what decides the speed of this program.
std::vector<std::string> ProcessorFeatures() {
  static const std::set<std::string> kOfInterest = {
      "sse4_2",   "avx",      "avx2",        "fma",         "f16c",     "avx512f",  "avx512bw",
      "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16",
      "amx_int8", "asimd",    "asimddp",     "bf16",        "i8mm",     "sve",      "sve2"};
  std::string flags = ValueOf("/proc/cpuinfo", "flags");
  if (flags.empty()) flags = ValueOf("/proc/cpuinfo", "Features");  // as ARM processors call them
  std::istringstream in(flags);
  std::vector<std::string> found;
  for (std::string flag; in >> flag;) {
    if (kOfInterest.contains(flag)) found.push_back(flag);
  }
  return found;
}

std::string OperatingSystem() {
  std::ifstream in("/etc/os-release");
  for (std::string text; std::getline(in, text);) {
    if (!text.starts_with("PRETTY_NAME=")) continue;
    std::string name = text.substr(12);
    std::erase(name, '"');
    return name;
  }
  return "unknown";
}

std::string Affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return "unknown";
  std::string text;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &set)) continue;
    int last = i;
    while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", last > i ? fmt::format("{}-{}", i, last) : std::to_string(i));
    i = last;
  }
  return text;
}

double Rounded(double value) { return std::round(value * 10) / 10; }

OrderedJson Examine(LocalMachine& machine) {
  OrderedJson json;
  for (const auto& [what, version] : BuildVersions()) json["versions"][what] = version;
  utsname kernel{};
  ::uname(&kernel);
  json["system"] = {{"os", OperatingSystem()}, {"kernel", kernel.release}, {"time", Timestamp()}};
  std::string model = ValueOf("/proc/cpuinfo", "model name");
  json["processor"]["model"] = model.empty() ? std::string(kernel.machine) : model;
  json["processor"]["features"] = ProcessorFeatures();
  const std::vector<std::string> targets = SimdTargets();
  const std::string target = SimdTarget();
  json["processor"]["simd_targets"] = targets;
  json["processor"]["simd_target"] = target;
  json["processor"]["same_bits"] = target == "AVX3" || target == "AVX2" || target == "NEON";
  json["threads"] = {
      {"used", machine.pool().size()}, {"available", ThreadPool::AvailableProcessors()}, {"affinity", Affinity()}};
  ThreadPool one(1);
  json["measured"] = {{"peak_gflops_one_thread", Rounded(MeasurePeakFlops(one) / 1e9)},
                      {"peak_gflops_all_threads", Rounded(MeasurePeakFlops(machine.pool()) / 1e9)},
                      {"read_gb_per_s_one_thread", Rounded(MeasureReadBandwidth(one) / 1e9)},
                      {"read_gb_per_s_all_threads", Rounded(MeasureReadBandwidth(machine.pool()) / 1e9)}};
  constexpr double kMebi = 1 << 20;
  std::istringstream total(ValueOf("/proc/meminfo", "MemTotal"));
  double total_kib = 0;
  total >> total_kib;
  json["memory"] = {{"total_mib", std::round(total_kib / 1024)},
                    {"available_mib", std::round(static_cast<double>(AvailableMemory()) / kMebi)}};
  std::error_code ignored;
  const fs::space_info space = fs::space(".", ignored);
  if (!ignored) json["disk"] = {{"here_free_mib", std::round(static_cast<double>(space.available) / kMebi)}};
  return json;
}

std::string Words(const OrderedJson& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& word : value) text += fmt::format("{}{}", text.empty() ? "" : " ", Words(word));
  return text.empty() ? "none" : text;
}

void PrintText(const OrderedJson& json) {
  for (const auto& [section, values] : json.items()) {
    Print(section + "\n");
    for (const auto& [name, value] : values.items()) {
      std::string label = name;
      std::replace(label.begin(), label.end(), '_', ' ');
      Print(fmt::format("  {:<26} {}\n", label, Words(value)));
    }
  }
}

}  // namespace

ExitCode RunDoctor(CommandLine& line) {
  bool json = false, self_test = false;
  line.Flag("--json", &json, "as one JSON object");
  line.Flag("--self-test", &self_test,
            "train a small model and compare its weights' bytes with those of every machine");
  line.Example("sputnik doctor --self-test");
  line.Note("Peaks are measured with whatever else runs on this machine; SPUTNIK_SIMD=AVX2 restricts the SIMD target.");
  if (!line.Parse()) return ExitCode::kOk;

  LocalMachine machine(line.global());
  OrderedJson found = Examine(machine);
  bool failed = false;
  if (self_test) {
    const double start = WallSeconds();
    const std::string hash = SelfTestHash(machine.machine());
    failed = hash != kSelfTestGolden;
    found["self_test"] = {{"result", failed ? "failed" : "passed"},
                          {"machine", line.global().machine},
                          {"steps", kSelfTestSteps},
                          {"weights_sha256", hash},
                          {"expected_sha256", kSelfTestGolden},
                          {"seconds", Rounded(WallSeconds() - start)}};
  }
  if (json) {
    Print(found.dump(2) + "\n");
  } else {
    PrintText(found);
  }
  FlushOutput();
  if (!failed) return ExitCode::kOk;
  if (!found["processor"]["same_bits"].get<bool>() && line.global().machine == "cpu") {
    throw Error(
        ExitCode::kNumeric,
        "the self-test's weights differ, as they must on a SIMD target without fused multiply-adds; runs on this "
        "machine are not the same bytes as elsewhere");
  }
  throw Error(
      ExitCode::kNumeric,
      "the self-test's weights differ from those of every other machine: please report this with the text above");
}

}  // namespace sputnik
