// sputnik info: a model's size and cost from its config alone, without its weights.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunInfo(CommandLine& line);

}  // namespace sputnik
