// The threads and kernels that --threads and --machine ask for.
#pragma once

#include "app/command_line.h"
#include "op/pass.h"

namespace sputnik {

class LocalMachine {
 public:
  explicit LocalMachine(const GlobalFlags& flags);

  ThreadPool& pool() { return pool_; }
  Machine machine() { return {kernels_, pool_}; }

 private:
  const Kernels& kernels_;
  ThreadPool pool_;
};

}  // namespace sputnik
