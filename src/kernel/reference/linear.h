// Matrix products of the reference machine: one chain of fused multiply-adds per output, in plain loops.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::reference {

void Linear(const LinearArgs& args, ThreadPool& pool);
void LinearBackwardInput(const LinearArgs& args, ThreadPool& pool);
void LinearBackwardWeight(const LinearArgs& args, ThreadPool& pool);
void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool);

}  // namespace sputnik::reference
