#include "app/adapter_start.h"

#include "app/serving_memory.h"
#include "base/error.h"
#include "base/log.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "train/memory.h"
#include "train/state.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

void CheckSameRank(const LoraConfig& config, const AdapterConfig& adapter, const fs::path& folder) {
  if (config.adapter.rank == 0 || config.adapter.rank == adapter.rank) return;
  ThrowUsage(
      "{}: the adapter has rank {}, but lora.rank is {}; leave lora.rank out, or merge it first (sputnik convert "
      "--adapter)",
      folder.string(), adapter.rank, config.adapter.rank);
}

}  // namespace

std::unique_ptr<Decoder> StartAdapter(const LoraConfig& config, const fs::path& start, const TrainConfig& train,
                                      uint64_t seed) {
  const bool goes_on = IsAdapterFolder(start);
  const fs::path base = WeightsFolder(start);
  fs::path from = goes_on ? start : fs::path();
  if (!goes_on && !config.from.empty()) {
    from = ResolveModelFolder(config.from);
    if (!IsAdapterFolder(from))
      ThrowUsage("{}: no adapter_config.json here; lora.from names an adapter", from.string());
  }
  const WeightMemory weights = MemoryToLoad(StoredModel(base), false);
  std::unique_ptr<Decoder> decoder = LoadAdapted(base, from, true);
  if (from.empty()) {
    auto fresh = std::make_unique<Adapter>(config.adapter, FindModules(decoder->config(), config.adapter.targets),
                                           DType::kF32, true);
    fresh->Initialise(seed);
    fresh->SetBase(fs::absolute(base).lexically_normal());
    decoder->SetAdapter(std::move(fresh));
  } else {
    CheckSameRank(config, decoder->adapter()->config(), from);
  }
  const Adapter& adapter = *decoder->adapter();
  int64_t learnt = 0;
  for (const Param& param : adapter.params().list()) learnt += param.spec.elements();
  AdapterConfig described = adapter.config();
  described.targets.clear();
  for (const AdaptedModule& module : adapter.modules()) described.targets.push_back(module.name);
  const MemoryEstimate need = CheckAdapterMemory(decoder->config(), described, weights.mapped + weights.owned,
                                                 {.optimizer = config.optimizer}, train, AvailableMemory());
  LogInfo(
      "{}: an adapter of rank {} on {} layers, {:.3f} M numbers, learns beside frozen weights; memory about {}: "
      "weights {} ({} of them in their files' pages), adapter with gradients and moments {}, activations {}",
      base.string(), adapter.config().rank, adapter.modules().size(), static_cast<double>(learnt) / 1e6,
      ReadableBytes(need.total()), ReadableBytes(weights.mapped + weights.owned), ReadableBytes(weights.mapped),
      ReadableBytes(need.parameters - weights.mapped - weights.owned + need.gradients + need.optimizer),
      ReadableBytes(need.activations));
  return decoder;
}

}  // namespace sputnik
