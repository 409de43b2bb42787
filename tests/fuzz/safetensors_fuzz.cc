#include "base/check.h"
#include "tensor/safetensors.h"
#include "tests/fuzz/target.h"

// What is accepted covers the data once: the sizes add up, and every byte can be read.
SPUTNIK_FUZZ_TARGET(safetensors) {
  const sputnik::SafetensorsFile file(sputnik::fuzz::FileHolding(input));
  size_t bytes = 0;
  unsigned sum = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    int64_t expected = SizeOf(tensor.dtype);
    for (const int64_t size : tensor.shape) expected *= size;
    CHECK_EQ(expected, tensor.bytes());
    for (const std::byte value : tensor.data) sum += std::to_integer<unsigned>(value);
    bytes += tensor.data.size();
  }
  CHECK_LE(bytes + 8, input.size());
  volatile unsigned sink = sum;
  (void)sink;
}
