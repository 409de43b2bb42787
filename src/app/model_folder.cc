#include "app/model_folder.h"

#include <algorithm>

#include "app/serving_memory.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "engine/request.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "train/memory.h"
#include "train/state.h"

namespace sputnik {

namespace fs = std::filesystem;

const Tokenizer& ModelFolder::NeedTokenizer(std::string_view what) const {
  if (!tokenizer) {
    ThrowBadInput("{}: no tokenizer.json here, and {} needs one; give token ids instead, or put the tokenizer there",
                  path.string(), what);
  }
  return *tokenizer;
}

std::vector<int32_t> ModelFolder::StopIds() const {
  const int64_t vocabulary = decoder->config().vocab_size;
  int64_t id = tokenizer ? tokenizer->eos_id() : -1;
  if (id < 0) id = decoder->config().eos_token_id;
  std::vector<int32_t> ids;
  const auto add = [&](int64_t stop) {
    if (stop < 0 || stop >= vocabulary || std::find(ids.begin(), ids.end(), stop) != ids.end()) return;
    ids.push_back(static_cast<int32_t>(stop));
  };
  add(id);
  const std::vector<int64_t>& more = decoder->config().more_eos_token_ids;
  if (!more.empty()) add(decoder->config().eos_token_id);
  for (const int64_t other : more) add(other);
  return ids;
}

ModelFolder OpenModelFolder(const fs::path& folder, const ModelUse& use) {
  ModelFolder opened{.path = ResolveModelFolder(folder), .decoder = nullptr, .tokenizer = {}};
  if (opened.path != folder) LogDebug("{} is {}", folder.string(), opened.path.string());
  fs::path adapter = IsAdapterFolder(opened.path) ? opened.path : fs::path();
  if (!use.adapter.empty()) {
    if (!adapter.empty())
      ThrowUsage("{}: is an adapter already; --adapter {} cannot be added to it", folder.string(),
                 use.adapter.string());
    adapter = ResolveModelFolder(use.adapter);
    if (!IsAdapterFolder(adapter))
      ThrowBadInput("{}: no adapter_config.json here; is this an adapter's folder?", adapter.string());
  }
  const fs::path base = WeightsFolder(opened.path);
  StoredModel stored(base);
  const ModelConfig config = stored.config();
  const fs::path tokenizer_folder = fs::exists(opened.path / "tokenizer.json") ? opened.path : base;
  if (fs::exists(tokenizer_folder / "tokenizer.json")) {
    opened.tokenizer = Tokenizer::Load(tokenizer_folder);
    if (opened.tokenizer->vocab_size() > config.vocab_size) {
      ThrowBadInput(
          "{}: the tokenizer has {} ids, but the model only {} (vocab_size in config.json); they do not "
          "belong together",
          opened.path.string(), opened.tokenizer->vocab_size(), config.vocab_size);
    }
  }
  const int64_t context = std::min(use.context, LongestSequence(config));
  const WeightMemory weights = MemoryToLoad(stored, false);
  LogInfo("{}: {:.1f} M parameters in {}; memory {}", opened.path.string(),
          static_cast<double>(CountParams(config).total) / 1e6, stored.TypeNames(),
          DescribeMemory(EstimateServingMemory(config, weights, use.form, context), context));
  CheckServingMemory(stored, use.form, context, AvailableMemory());
  const bool terminal = StderrProgressStyle().terminal;
  std::optional<Progress> progress;
  opened.decoder = LoadModel(std::move(stored), false, [&](int64_t done, int64_t total) {
    constexpr int64_t kMega = 1'000'000;
    if (!terminal || total < 100 * kMega) return;  // gone before anyone could read it
    if (!progress) progress.emplace("reading weights, MB", total / kMega);
    progress->Update(done / kMega, "");
  });
  if (!adapter.empty()) opened.decoder->SetAdapter(LoadAdapter(adapter, config, DType::kF32, false));
  return opened;
}

Tokenizer OpenTokenizer(const fs::path& folder) {
  if (fs::is_regular_file(folder) || fs::exists(folder / "tokenizer.json")) return Tokenizer::Load(folder);
  if (!fs::is_directory(folder)) ThrowBadInput("{}: no such folder", folder.string());
  if (fs::is_directory(folder / "checkpoints")) {
    const fs::path model = ResolveModelFolder(folder);
    if (fs::exists(model / "tokenizer.json")) return Tokenizer::Load(model);
  }
  ThrowBadInput("{}: no tokenizer.json in this folder; sputnik tokenizer train makes one", folder.string());
}

std::vector<int32_t> ParseTokens(std::string_view json, std::string_view source) {
  const Json list = ParseJson(json, source);
  if (!list.is_array()) ThrowBadInput("{}: expected a list of token ids, such as [1, 2, 3]", source);
  std::vector<int32_t> tokens;
  tokens.reserve(list.size());
  for (const Json& id : list) {
    const bool fits = id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
    if (!fits)
      ThrowBadInput("{}: {} is no token id; expected whole numbers from 0 on, such as [1, 2, 3]", source, id.dump());
    tokens.push_back(id.get<int32_t>());
  }
  return tokens;
}

void CheckTokens(std::span<const int32_t> tokens, const ModelConfig& config, std::string_view source) {
  for (const int32_t id : tokens) {
    if (id < 0 || id >= config.vocab_size) {
      ThrowBadInput("{}: token id {} is outside the model's vocabulary, 0 to {}", source, id, config.vocab_size - 1);
    }
  }
}

}  // namespace sputnik
