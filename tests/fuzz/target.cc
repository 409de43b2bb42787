#include "tests/fuzz/target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace sputnik::fuzz {

std::vector<Target>& Targets() {
  static std::vector<Target> targets;
  return targets;
}

std::filesystem::path FileHolding(std::string_view input) {
  static const int fd = ::memfd_create("fuzz", 0);
  const bool written =
      ::ftruncate(fd, 0) == 0 && ::pwrite(fd, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size());
  if (!written) std::abort();
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace sputnik::fuzz
