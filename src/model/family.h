// The model families of Hugging Face's config.json: what each `model_type` takes for keys that are left out, how it
// calls them, and what it must not say. Heavy to compile (base/json.h): include in .cc files only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/config.h"

namespace sputnik {

const std::vector<std::string>& ModelTypes();

// What transformers takes for keys that config.json leaves out.
ModelConfig FileDefaults(const std::string& model_type);
// A small model of the family: what a recipe starts from. Both throw Error (usage) for a type that is not listed.
ModelConfig RecipeDefaults(const std::string& model_type);

std::string_view ArchitectureOf(const ModelConfig& config);  // as config.json calls transformers' class

// How the family's config.json calls a field of ModelConfig; empty: it has no such key, and the field keeps its
// default.
std::string_view FileKey(const ModelConfig& config, std::string_view field);

// Throws Error (usage) naming a field that has no key in the family and is not at its default.
void CheckFieldsOfFamily(const ModelConfig& config, std::string_view where);

// Throws Error (usage) naming a key of the file whose value would change the arithmetic and is not supported.
void RefuseUnsupported(const Json& json, const ModelConfig& config, std::string_view where);

// Keys beside the fields that transformers expects, or that say what is always so here.
void AddFixedKeys(const ModelConfig& config, OrderedJson& json);

}  // namespace sputnik
