// The matrix products of kernel/args.h on SIMD registers: equal to kernel/reference in float32, bit for bit, for any
// shape, stride and thread count, on every target with fused multiply-add. Contract as in kernel/reference/linear.h,
// with dtype F32 only.
//
// All three products are one blocked product c = a · b (linear-inl.h) that differs only in how a and b are packed; how
// it is cut up is PlanLinear's choice (plan_linear.h). Scratch memory is kept per thread, so a call allocates nothing
// once its threads have run one.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void Linear(const LinearArgs& args, ThreadPool& pool);
void LinearBackwardInput(const LinearArgs& args, ThreadPool& pool);
void LinearBackwardWeight(const LinearArgs& args, ThreadPool& pool);

void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
