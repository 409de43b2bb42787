// Adapters with something in them, on small models.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/decoder.h"

namespace sputnik {

// Random numbers in both halves, so that what it adds is not nothing.
template <class T>
std::unique_ptr<Adapter> RandomAdapter(const ModelConfig& model, const AdapterConfig& config, bool with_gradients,
                                       uint64_t seed = 1) {
  auto adapter = std::make_unique<Adapter>(config, FindModules(model, config.targets), DTypeOf<T>(), with_gradients);
  Random random(seed, kStreamTest);
  for (Param& param : adapter->params().list()) {
    for (T& value : param.tensor.span<T>()) value = static_cast<T>(0.25 * random.Normal());
  }
  return adapter;
}

}  // namespace sputnik
