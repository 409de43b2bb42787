// Rotary positions of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void Rope(const RopeArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
