// Reads a model config from JSON text, by way of a file as the program does.
#pragma once

#include <fstream>
#include <string_view>

#include "model/config.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {

inline ModelConfig ConfigFromJson(std::string_view json) {
  const TemporaryFolder folder;
  std::ofstream(folder / "config.json", std::ios::binary) << json;
  return ReadModelConfig(folder / "config.json");
}

}  // namespace sputnik
