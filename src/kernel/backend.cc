#include "kernel/backend.h"

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "kernel/cpu/table.h"
#include "kernel/reference/table.h"

namespace sputnik {
namespace {

// What may be compiled in, best first. Highway spells each target as one bit.
constexpr std::array<std::pair<const char*, int64_t>, 5> kTargets = {{
    {"AVX3", HWY_AVX3},
    {"AVX2", HWY_AVX2},
    {"SSE4", HWY_SSE4},
    {"SSSE3", HWY_SSSE3},
    {"NEON", HWY_NEON},
}};

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void CheckComplete(const Kernels& kernels) {
  const auto need = [&](bool present, const char* kernel) {
    if (!present) ThrowFailure("machine '{}' has no kernel '{}'; choose another machine", kernels.name, kernel);
  };
#define SPUTNIK_NEED(kernel) need(kernels.kernel != nullptr, #kernel)
  SPUTNIK_NEED(linear);
  SPUTNIK_NEED(linear_backward_input);
  SPUTNIK_NEED(linear_backward_weight);
  SPUTNIK_NEED(grouped_linear);
  SPUTNIK_NEED(grouped_linear_backward_input);
  SPUTNIK_NEED(grouped_linear_backward_weight);
  SPUTNIK_NEED(rms_norm);
  SPUTNIK_NEED(rms_norm_backward);
  SPUTNIK_NEED(rope);
  SPUTNIK_NEED(add);
  SPUTNIK_NEED(add_to);
  SPUTNIK_NEED(copy);
  SPUTNIK_NEED(swiglu);
  SPUTNIK_NEED(swiglu_backward);
  SPUTNIK_NEED(gather);
  SPUTNIK_NEED(scatter_add);
  SPUTNIK_NEED(scatter);
  SPUTNIK_NEED(attention);
  SPUTNIK_NEED(attention_backward);
  SPUTNIK_NEED(router);
  SPUTNIK_NEED(router_backward);
  SPUTNIK_NEED(dispatch);
  SPUTNIK_NEED(combine);
  SPUTNIK_NEED(combine_backward);
  SPUTNIK_NEED(log_softmax);
  SPUTNIK_NEED(log_softmax_backward);
  SPUTNIK_NEED(adamw);
  SPUTNIK_NEED(muon);
  SPUTNIK_NEED(sum_of_squares);
#undef SPUTNIK_NEED
}

// Once, before the cpu machine is first handed out, unless UseSimdTarget spoke earlier.
void ApplyEnvironment() {
  [[maybe_unused]] static const bool applied = [] {
    const char* target = std::getenv("SPUTNIK_SIMD");
    if (target != nullptr) UseSimdTarget(target);
    return true;
  }();
}

}  // namespace

const Kernels& KernelsFor(std::string_view machine) {
  const Kernels* kernels = nullptr;
  if (machine == "reference") {
    kernels = &ReferenceKernels();
  } else if (machine == "cpu") {
    ApplyEnvironment();
    kernels = &CpuKernels();
  } else {
    ThrowUsage("unknown machine '{}'; this program has 'cpu' and 'reference'", machine);
  }
  CheckComplete(*kernels);
  return *kernels;
}

std::vector<std::string> SimdTargets() {
  // Asked once, before any restriction: UseSimdTarget comes through here first.
  static const std::vector<std::string> names = [] {
    const int64_t runnable = hwy::SupportedTargets() & HWY_TARGETS;
    std::vector<std::string> found;
    for (const auto& [name, bit] : kTargets) {
      if ((runnable & bit) != 0) found.emplace_back(name);
    }
    return found;
  }();
  return names;
}

std::string SimdTarget() {
  ApplyEnvironment();
  const int64_t runnable = hwy::SupportedTargets() & HWY_TARGETS;
  for (const auto& [name, bit] : kTargets) {
    if ((runnable & bit) != 0) return name;
  }
  return "scalar";
}

void UseSimdTarget(std::string_view target) {
  const std::vector<std::string> names = SimdTargets();
  if (target.empty()) {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return;
  }
  std::string wanted(target);
  for (char& c : wanted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const auto& [name, bit] : kTargets) {
    if (wanted != name || std::find(names.begin(), names.end(), wanted) == names.end()) continue;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    return;
  }
  ThrowUsage("this processor cannot run SIMD target '{}'; it has {}", target, Joined(names));
}

}  // namespace sputnik
