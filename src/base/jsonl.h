// Files with one JSON object per line. Heavy to compile (base/json.h): include in .cc files only.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/thread_pool.h"

namespace sputnik {

// Longest line that is read; longer ones are taken for a broken file rather than for a document.
inline constexpr size_t kMaxLineBytes = size_t{64} << 20;

// Calls fn(object, line) for each line of `path` that is not blank, counting lines from 1. `expected` shows what a line
// should look like, such as {"text": "..."}. Errors (bad input) name file and line, and show `expected`: invalid JSON,
// no object, a line over the limit. An Error thrown by `fn` passes through.
void ForEachJsonLine(const std::filesystem::path& path, std::string_view expected,
                     FunctionRef<void(const Json& object, int64_t line)> fn, size_t max_line_bytes = kMaxLineBytes);

// The string under `key`; an Error (bad input) naming file and line when it is missing or no string.
std::string JsonLineString(const Json& object, std::string_view key, const std::filesystem::path& path, int64_t line,
                           std::string_view expected);

}  // namespace sputnik
