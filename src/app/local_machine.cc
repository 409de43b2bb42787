#include "app/local_machine.h"

#include "kernel/backend.h"

namespace sputnik {

LocalMachine::LocalMachine(const GlobalFlags& flags)
    : kernels_(KernelsFor(flags.machine)), pool_(static_cast<int>(flags.threads)) {}

}  // namespace sputnik
