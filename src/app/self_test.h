// Whether this machine computes what every machine must: a small model of the full architecture, trained for some fixed
// steps, whose weights are the same bytes everywhere.
#pragma once

#include <string>
#include <string_view>

#include "op/pass.h"

namespace sputnik {

inline constexpr int kSelfTestSteps = 20;

// SHA-256 of the weights after the steps, in hexadecimal. Takes a second or less on the cpu machine.
std::string SelfTestHash(const Machine& machine);

// What it must be, on any processor with fused multiply-adds and on the reference machine. It changes only when the
// arithmetic of training does, which is then a decision (docs/numerics.md).
inline constexpr std::string_view kSelfTestGolden = "cd9a0dcb86e895bf17b8ed6d0e9952a7ad5ee0d2408548b9e401d3efa0e3666f";

}  // namespace sputnik
