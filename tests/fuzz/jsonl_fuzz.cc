#include "base/jsonl.h"
#include "tests/fuzz/target.h"

SPUTNIK_FUZZ_TARGET(jsonl) {
  const std::filesystem::path path = sputnik::fuzz::FileHolding(input);
  sputnik::ForEachJsonLine(
      path, "{\"text\": \"...\"}",
      [&](const sputnik::Json& object, int64_t line) {
        sputnik::JsonLineString(object, "text", path, line, "{\"text\": \"...\"}");
      },
      1 << 12);
}
