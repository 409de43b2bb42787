// Log-softmax rows of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void LogSoftmax(const LogSoftmaxArgs& args, ThreadPool& pool);
void LogSoftmaxBackward(const LogSoftmaxBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
