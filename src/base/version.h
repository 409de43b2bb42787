// Which sputnik this is.
#pragma once

#include <string_view>

namespace sputnik {

// As `git describe` named the sources when the build was configured (v0.1.0-12-gabcdef0, "-dirty" behind it if they
// were changed), or the project's version outside of a git checkout.
std::string_view Version();

}  // namespace sputnik
