// sputnik eval: how well a model does, on problems whose answers are checked and on text.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunEval(CommandLine& line);

}  // namespace sputnik
