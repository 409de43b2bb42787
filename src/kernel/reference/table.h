// The reference machine: every kernel in plain loops.
#pragma once

#include "kernel/kernels.h"

namespace sputnik {

const Kernels& ReferenceKernels();

}  // namespace sputnik
