// sputnik chat: a conversation with a model, on a terminal or in a script.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunChat(CommandLine& line);

}  // namespace sputnik
