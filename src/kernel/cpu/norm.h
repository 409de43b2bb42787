// RMS norm of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void RmsNorm(const RmsNormArgs& args, ThreadPool& pool);
void RmsNormBackward(const RmsNormBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
