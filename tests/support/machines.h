// The machines that can run here: a machine whose kernels are not all there is left out.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "kernel/backend.h"

namespace sputnik {

inline std::vector<std::string> AvailableMachines() {
  std::vector<std::string> machines;
  for (const char* name : {"reference", "cpu"}) {
    try {
      KernelsFor(name);
      machines.emplace_back(name);
    } catch (const Error&) {
    }
  }
  return machines;
}

}  // namespace sputnik
