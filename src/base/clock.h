// Wall and processor time of this process, in seconds.
#pragma once

#include <string>

namespace sputnik {

double WallSeconds();       // monotonic, from an arbitrary start
double ProcessorSeconds();  // user and system time of all threads so far
std::string Timestamp();    // UTC, as 2026-01-31T23:59:59Z

}  // namespace sputnik
