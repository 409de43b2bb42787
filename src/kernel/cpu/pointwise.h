// Elementwise and row-moving kernels of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void Add(const AddArgs& args, ThreadPool& pool);
void AddTo(const AddArgs& args, ThreadPool& pool);
void Copy(const AddArgs& args, ThreadPool& pool);
void Swiglu(const SwigluArgs& args, ThreadPool& pool);
void SwigluBackward(const SwigluBackwardArgs& args, ThreadPool& pool);
void Gather(const GatherArgs& args, ThreadPool& pool);
void ScatterAdd(const GatherArgs& args, ThreadPool& pool);
void Scatter(const GatherArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
