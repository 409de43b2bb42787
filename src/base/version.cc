#include "base/version.h"

namespace sputnik {

std::string_view Version() { return SPUTNIK_VERSION; }

}  // namespace sputnik
