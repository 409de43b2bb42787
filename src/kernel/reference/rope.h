// Rotary positions of the reference machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::reference {

void Rope(const RopeArgs& args, ThreadPool& pool);

}  // namespace sputnik::reference
