// sputnik tokenizer train|encode|decode: a tokenizer from text, text to ids, and ids to text, for pipes.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunTokenizerTrain(CommandLine& line);
ExitCode RunTokenizerEncode(CommandLine& line);
ExitCode RunTokenizerDecode(CommandLine& line);

}  // namespace sputnik
