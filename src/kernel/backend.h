// The machines this program was built with, by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernels.h"

namespace sputnik {

// "reference" or "cpu". Throws Error (usage) for an unknown name; a machine with a missing kernel does not start: the
// error names the kernel.
const Kernels& KernelsFor(std::string_view machine);

// SIMD targets this processor can run, best first (as "AVX3", "AVX2", "SSE4", "NEON").
std::vector<std::string> SimdTargets();
std::string SimdTarget();  // the one in use

// Restricts the cpu machine to one target, for tests and bug reports; empty lifts the restriction. At start the
// environment variable SPUTNIK_SIMD does the same. Throws Error (usage) if the processor cannot run it.
void UseSimdTarget(std::string_view target);

}  // namespace sputnik
