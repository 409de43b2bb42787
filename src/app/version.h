// sputnik version: which program this is and what it was built with.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"

namespace sputnik {

ExitCode RunVersion(CommandLine& line);

// (what, version), the program first.
std::vector<std::pair<std::string, std::string>> BuildVersions();

}  // namespace sputnik
