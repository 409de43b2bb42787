// sputnik info: a model's size and cost from its config and the headers of its files; no weights are read.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunInfo(CommandLine& line);

}  // namespace sputnik
