// Numbers of chat templates as text and back, as Python writes and reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "text/jinja_text.h"

namespace sputnik::jinja {

// The fewest digits that give the same number back.
std::string FloatText(double value);

// int(text, base) and float(text), white space around it and single underscores between digits allowed; nullopt: it is
// none. A whole number beyond 64 bits is an Error.
std::optional<int64_t> ParseInt(const Text& text, int base);
std::optional<double> ParseFloat(const Text& text);

// To so many decimals, the nearest, ties to even. 0 <= precision <= 300.
double RoundFloat(double value, int precision);

}  // namespace sputnik::jinja
