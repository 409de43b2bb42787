// sputnik run, and its stages one by one: pretrain, sft, improve. Each works through a recipe.
#pragma once

#include "app/command_line.h"

namespace sputnik {

ExitCode RunRecipe(CommandLine& line);    // all stages of the recipe
ExitCode RunPretrain(CommandLine& line);  // only that stage
ExitCode RunSft(CommandLine& line);       // only that stage, from --model
ExitCode RunImprove(CommandLine& line);   // only that stage, from --model

}  // namespace sputnik
