// The cpu machine: SIMD through Highway, equal to the reference in float32 bit for bit on targets with FMA.
#pragma once

#include "kernel/kernels.h"

namespace sputnik {

const Kernels& CpuKernels();

}  // namespace sputnik
