// JSON, by nlohmann's library. Read with Json (keys sorted; parsing is linear); write with OrderedJson where people
// read the result. Heavy to compile: include in .cc files only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sputnik {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Parses `text`; throws Error (bad input) that names `source` and the place. Depth is limited to 128.
Json ParseJson(std::string_view text, std::string_view source);

// Reads and parses a whole file.
Json ReadJsonFile(const std::filesystem::path& path);

// The same for a file from somewhere else that says what a model is: it may be no larger than `most_bytes`, and no
// object in it may have a name twice, of which one reader takes the first and another the last.
Json ReadStrictJsonFile(const std::filesystem::path& path, uint64_t most_bytes);

}  // namespace sputnik
