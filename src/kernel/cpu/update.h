// Optimizer updates of the cpu machine.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik::cpu {

void AdamW(const AdamWArgs& args, ThreadPool& pool);
void Muon(const MuonArgs& args, ThreadPool& pool);
void SumOfSquares(SumOfSquaresArgs& args, ThreadPool& pool);

}  // namespace sputnik::cpu
