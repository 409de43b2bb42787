#include "model/checkpoint.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "tensor/widen.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPiece = int64_t{1} << 18;  // numbers that are converted at a time

// Calls work(begin, count) for consecutive pieces of `elements`.
template <class Work>
void InPieces(int64_t elements, const Work& work) {
  for (int64_t begin = 0; begin < elements; begin += kPiece) work(begin, std::min(kPiece, elements - begin));
}

// What was read of the file is not needed again: the weights would be in memory twice.
void Fill(const StoredModel& stored, const Param& param) {
  const StoredTensor& from = stored.Get(param.spec.name);
  const StoredTensor* scales = stored.ScalesOf(param.spec.name);
  const bool wide = param.tensor.dtype() == DType::kF64;
  std::vector<float> piece(wide ? static_cast<size_t>(std::min(kPiece, from.elements())) : 0);
  InPieces(from.elements(), [&](int64_t begin, int64_t count) {
    const auto n = static_cast<size_t>(count);
    if (!wide) return Widen(from, scales, begin, {param.tensor.as<float>() + begin, n});
    Widen(from, scales, begin, {piece.data(), n});
    std::copy_n(piece.data(), count, param.tensor.as<double>() + begin);
  });
  stored.Forget(param.spec.name);
}

void FillAll(const StoredModel& stored, Params& params, const std::map<std::string, const StoredTensor*>& in_place,
             const ByteProgress& progress) {
  int64_t total = 0, done = 0;
  for (const Param& param : params.list()) {
    if (!in_place.contains(param.spec.name)) total += stored.Get(param.spec.name).bytes();
  }
  for (Param& param : params.list()) {
    param.stored = stored.Get(param.spec.name).dtype;
    if (in_place.contains(param.spec.name)) continue;
    Fill(stored, param);
    done += stored.Get(param.spec.name).bytes();
    if (progress) progress(done, total);
  }
}

// config.json of a model whose weights are stored as `dtype`: the one it was read with, as far as it still says the
// truth.
std::string ConfigText(const ModelConfig& config, DType dtype) {
  const char* name = dtype == DType::kBF16 ? "bfloat16" : dtype == DType::kF16 ? "float16" : "float32";
  OrderedJson json = OrderedJson::parse(config.source.empty() ? WriteModelConfig(config) : config.source);
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  if (json.contains("dtype")) json.erase("torch_dtype");
  json.erase("quantization_config");
  if (json.contains("num_nextn_predict_layers") || config.num_nextn_predict_layers > 0) {
    json["num_nextn_predict_layers"] = config.num_nextn_predict_layers;
  }
  return json.dump(2) + "\n";
}

// The numbers of a tensor, or of a part of it, in another type.
void Emit(std::span<const float> values, DType dtype, const DataSink& sink) {
  if (dtype == DType::kF32) return sink(std::as_bytes(values));
  std::vector<uint16_t> narrow(values.size());
  Narrow(values, narrow);
  sink(std::as_bytes(std::span(narrow)));
}

// A parameter as something stored, so that both kinds of writing share their conversions.
StoredTensor AsStored(const Param& param) {
  const auto bytes = static_cast<size_t>(param.spec.elements() * SizeOf(param.tensor.dtype()));
  return {param.tensor.dtype(), param.spec.shape, {static_cast<const std::byte*>(param.tensor.data()), bytes}};
}

// Router biases are nudged by steps that bfloat16 may not hold: they keep their type where it holds them, else float32.
DType TypeOfBias(const Param& param) {
  const std::span<float> values = param.tensor.span<float>();
  const bool holds =
      std::ranges::all_of(values, [](float value) { return FloatFromBF16(BF16FromFloat(value)) == value; });
  return param.stored == DType::kBF16 && holds ? DType::kBF16 : DType::kF32;
}

void Produce(const StoredTensor& from, const StoredTensor* scales, DType dtype, const DataSink& sink,
             const std::optional<LowRank>& added = {}) {
  if (from.dtype == dtype && !added) return sink(from.data);
  std::vector<float> piece(static_cast<size_t>(std::min(kPiece, from.elements())));
  InPieces(from.elements(), [&](int64_t begin, int64_t count) {
    const std::span<float> values(piece.data(), static_cast<size_t>(count));
    Widen(from, scales, begin, values);
    if (added) AddProduct(*added, begin, values);
    Emit(values, dtype, sink);
  });
}

}  // namespace

WeightMemory MemoryToLoad(const StoredModel& stored, bool with_gradients) {
  WeightMemory memory;
  const std::map<std::string, const StoredTensor*> in_place =
      with_gradients ? std::map<std::string, const StoredTensor*>() : stored.InPlace();
  for (const ParamSpec& spec : ListParams(stored.config())) {
    const auto place = in_place.find(spec.name);
    if (place == in_place.end()) {
      memory.owned += spec.elements() * SizeOf(DType::kF32);
    } else {
      memory.mapped += place->second->bytes();
      const bool rows_only = spec.role == ParamRole::kEmbedding && !stored.config().tie_word_embeddings;
      if (rows_only) memory.embedding += place->second->bytes();
    }
  }
  return memory;
}

std::unique_ptr<Decoder> LoadModel(StoredModel stored, bool with_gradients, const ByteProgress& progress) {
  const ModelConfig config = stored.config();
  if (with_gradients) {
    auto decoder = std::make_unique<Decoder>(config, DType::kF32, true);
    FillAll(stored, decoder->params(), {}, progress);
    return decoder;
  }
  const std::map<std::string, const StoredTensor*> in_place = stored.InPlace();
  for (const SafetensorsFile& file : stored.files()) file.Announce();
  Params params(config, in_place);
  FillAll(stored, params, in_place, progress);
  params.Keep(stored.TakeFiles());
  return std::make_unique<Decoder>(config, std::move(params));
}

std::unique_ptr<Decoder> LoadModel(const fs::path& folder, bool with_gradients) {
  return LoadModel(StoredModel(folder), with_gradients);
}

void LoadWeights(const fs::path& folder, Decoder& decoder) {
  const StoredModel stored(folder, decoder.config());
  FillAll(stored, decoder.params(), {}, {});
}

void SaveModel(const fs::path& folder, const Decoder& decoder, const SaveOptions& options) {
  const ModelConfig& config = decoder.config();
  CHECK(decoder.params().dtype() == DType::kF32);
  std::vector<TensorToStore> tensors;
  std::vector<StoredTensor> values;
  const auto add = [&](const std::string& name, const Param& param) {
    const bool bias = param.spec.role == ParamRole::kRouterBias && options.dtype != DType::kF32;
    tensors.push_back({name, bias ? TypeOfBias(param) : options.dtype, param.spec.shape, {}});
    values.push_back(AsStored(param));
  };
  const auto role = [&](ParamRole wanted) -> const Param& {
    return *std::ranges::find_if(decoder.params().list(), [&](const Param& p) { return p.spec.role == wanted; });
  };
  for (const Param& param : decoder.params().list()) add(param.spec.name, param);
  for (int64_t depth = 0; config.mtp_copies && depth < config.num_nextn_predict_layers; ++depth) {
    const std::string prefix = fmt::format("model.layers.{}.", config.num_hidden_layers + depth);
    const Param& embedding = role(ParamRole::kEmbedding);
    add(prefix + "embed_tokens.weight", embedding);
    add(prefix + "shared_head.head.weight", config.tie_word_embeddings ? embedding : role(ParamRole::kHead));
  }
  WriteShards(folder, tensors, options.most_bytes,
              [&](size_t i, const DataSink& sink) { Produce(values[i], nullptr, tensors[i].dtype, sink); });
  WriteFileAtomically(folder / "config.json", ConfigText(config, options.dtype));
  OrderedJson generation = {{"_from_model_config", true}, {"do_sample", true}, {"temperature", 1.0}};
  if (config.bos_token_id >= 0) generation["bos_token_id"] = config.bos_token_id;
  if (config.eos_token_id >= 0) generation["eos_token_id"] = config.eos_token_id;
  WriteFileAtomically(folder / "generation_config.json", generation.dump(2) + "\n");
}

void ConvertModel(const StoredModel& stored, const fs::path& folder, std::optional<DType> dtype, int64_t most_bytes,
                  const ByteProgress& progress, const Adapter* adapter) {
  std::set<std::string> biases;
  for (const ParamSpec& spec : ListParams(stored.config())) {
    if (spec.role == ParamRole::kRouterBias) biases.insert(spec.name);
  }
  std::vector<TensorToStore> tensors;
  std::map<DType, int64_t> elements;
  for (const auto& [name, tensor] : stored.tensors()) {
    if (stored.IsScale(name)) continue;
    DType type = tensor->dtype == DType::kF8E4M3 ? DType::kBF16 : tensor->dtype;
    if (dtype && !(biases.contains(name) && *dtype == DType::kBF16)) type = *dtype;
    elements[type] += tensor->elements();
    tensors.push_back({name, type, tensor->shape, {}});
  }
  WriteShards(
      folder, tensors, most_bytes,
      [&](size_t i, const DataSink& sink) {
        const std::string& name = tensors[i].name;
        std::optional<LowRank> added;
        if (adapter != nullptr && name.ends_with(".weight")) {
          added = adapter->Find(name.substr(0, name.size() - std::string_view(".weight").size()));
        }
        Produce(stored.Get(name), stored.ScalesOf(name), tensors[i].dtype, sink, added);
        stored.Forget(name);
      },
      progress);
  // config.json names the type that most numbers have.
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  WriteFileAtomically(folder / "config.json", ConfigText(stored.config(), most->first));
}

}  // namespace sputnik
