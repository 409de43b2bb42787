// sputnik generate: completions of one prompt.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunGenerate(CommandLine& line);

}  // namespace sputnik
