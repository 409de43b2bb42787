// RMS norm of the reference machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::reference {

void RmsNorm(const RmsNormArgs& args, ThreadPool& pool);
void RmsNormBackward(const RmsNormBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::reference
