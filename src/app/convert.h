// sputnik convert: a model folder in another number type, or cut into files of another size.
#pragma once

#include <cstdint>
#include <string_view>

#include "app/command_line.h"

namespace sputnik {

ExitCode RunConvert(CommandLine& line);

// "5GB", "500 MB", "16KiB" or a number of bytes. Throws Error (usage) for anything else, naming `flag`.
int64_t ParseByteSize(std::string_view text, std::string_view flag);

}  // namespace sputnik
