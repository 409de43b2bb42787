// sputnik doctor: what this machine is and can do, made to be pasted into a report.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunDoctor(CommandLine& line);

}  // namespace sputnik
