// Mixture-of-experts kernels of the cpu machine: routing, sorting by expert, weighted sum.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void Router(const RouterArgs& args, ThreadPool& pool);
void RouterBackward(const RouterBackwardArgs& args, ThreadPool& pool);
void Dispatch(const DispatchArgs& args, ThreadPool& pool);
void Combine(const CombineArgs& args, ThreadPool& pool);
void CombineBackward(const CombineBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
