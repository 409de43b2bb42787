// The definition of the matrix products of kernel/args.h: plain loops. Every output element is one chain of fused
// multiply-adds over ascending reduction index, from the old value when it is added to, else from zero.
//
// dtype F32 or F64; weights of the same type, or BF16 (widened) for Linear and LinearBackwardInput and their grouped
// forms. Any other combination is a caller's bug (CHECK).
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::reference {

void Linear(const LinearArgs& args, ThreadPool& pool);                // y = x · wᵀ
void LinearBackwardInput(const LinearArgs& args, ThreadPool& pool);   // x = y · w       (y holds dy, x receives dx)
void LinearBackwardWeight(const LinearArgs& args, ThreadPool& pool);  // w = yᵀ · x      (w receives dw)

void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool);
void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool);

}  // namespace sputnik::reference
