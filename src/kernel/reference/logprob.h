// Log-softmax rows of the reference machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::reference {

void LogSoftmax(const LogSoftmaxArgs& args, ThreadPool& pool);
void LogSoftmaxBackward(const LogSoftmaxBackwardArgs& args, ThreadPool& pool);

}  // namespace sputnik::reference
