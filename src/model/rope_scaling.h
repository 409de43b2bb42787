// How config.json spells the stretching of rotation frequencies: `rope_scaling` beside `rope_theta` (published
// folders), or `rope_parameters` with rope_theta inside (transformers 5). Heavy to compile (base/json.h): include in
// .cc files only.
#pragma once

#include <string_view>

#include "base/json.h"
#include "model/config.h"

namespace sputnik {

// Reads either into `config`, after its other keys. Throws Error (usage) naming the key.
void ReadRopeScaling(const Json& json, ModelConfig& config, std::string_view where);
OrderedJson WriteRopeScaling(const RopeScaling& scaling);  // the object under `rope_scaling`, or null

}  // namespace sputnik
