// Causal softmax attention of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void Attention(const AttentionArgs& args, ThreadPool& pool);
void AttentionBackward(const AttentionBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
