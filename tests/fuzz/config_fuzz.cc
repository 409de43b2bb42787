#include "base/check.h"
#include "model/config.h"
#include "tests/fuzz/target.h"

// What is accepted can be written, and is accepted again.
SPUTNIK_FUZZ_TARGET(config) {
  const sputnik::ModelConfig config = sputnik::ReadModelConfig(sputnik::fuzz::FileHolding(input));
  const std::string text = WriteModelConfig(config);
  try {
    sputnik::ReadModelConfig(sputnik::fuzz::FileHolding(text));
  } catch (const sputnik::Error& e) {
    sputnik::CheckFailed(__FILE__, __LINE__, "what was written is read", e.what());
  }
}
