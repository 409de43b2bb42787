#include "app/info.h"

#include <filesystem>

#include "app/output.h"
#include "app/serving_memory.h"
#include "base/json.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "model/shard_index.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "train/ledger.h"
#include "train/memory.h"
#include "train/state.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// 1234567 as "1,234,567".
std::string Grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string Readable(double number, std::string_view unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t prefix = 0;
  for (; number >= 1000 && prefix + 1 < std::size(kPrefixes); ++prefix) number /= 1000;
  return fmt::format("{:.{}f} {}{}", number, prefix == 0 ? 0 : 2, kPrefixes[prefix], unit);
}

// Names that a person may look for in a chat: those the config knows, and how many there are in all.
OrderedJson DescribeSpecialTokens(const Tokenizer& tokenizer) {
  OrderedJson json = OrderedJson::object();
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0) json[key] = {{"id", id}, {"text", ReplaceInvalidUtf8(tokenizer.TokenBytes(id))}};
  };
  name("bos", tokenizer.bos_id());
  name("eos", tokenizer.eos_id());
  name("pad", tokenizer.pad_id());
  int64_t count = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) count += tokenizer.IsSpecial(id);
  json["count"] = count;
  return json;
}

// Where the chat template is, or null.
OrderedJson FindChatTemplate(const fs::path& folder) {
  if (fs::exists(folder / "chat_template.jinja")) return "chat_template.jinja";
  const fs::path config = folder / "tokenizer_config.json";
  if (!fs::exists(config)) return nullptr;
  const Json json = ReadJsonFile(config);
  const bool there = json.is_object() && json.contains("chat_template") && !json["chat_template"].is_null();
  return there ? OrderedJson("tokenizer_config.json") : OrderedJson();
}

void DescribeTokenizer(const fs::path& folder, OrderedJson& about) {
  if (!fs::exists(folder / "tokenizer.json")) return;
  about["chat_template"] = FindChatTemplate(folder);
  try {
    const Tokenizer tokenizer = Tokenizer::Load(folder);
    about["tokenizer_ids"] = tokenizer.vocab_size();
    about["tokenizer_hash"] = tokenizer.hash();
    about["special_tokens"] = DescribeSpecialTokens(tokenizer);
  } catch (const Error& e) {
    about["tokenizer_error"] = e.what();  // the model can be described, and used with token ids
  }
}

OrderedJson DescribeMemoryNeeds(const ModelConfig& config, const WeightMemory& weights, int64_t context) {
  OrderedJson json;
  const auto serve = [&](const char* name, AttentionForm form) {
    const ServingMemory memory = EstimateServingMemory(config, weights, form, context);
    json["serve"][name] = {{"total", memory.total()},
                           {"weights", memory.mapped + memory.owned},
                           {"cache", memory.cache},
                           {"work", memory.work + memory.program}};
  };
  serve("expanded", AttentionForm::kExpanded);
  if (config.HasLatentAttention()) serve("absorbed", AttentionForm::kAbsorbed);
  const MemoryEstimate training = EstimateTrainingMemory(config, OptimizerConfig{}, context, true, false);
  json["train"] = {{"total", training.total()},
                   {"weights", training.parameters},
                   {"gradients", training.gradients},
                   {"optimizer", training.optimizer},
                   {"activations", training.activations}};
  return json;
}

bool HasWeights(const fs::path& folder) {
  return fs::exists(folder / "model.safetensors") || fs::exists(folder / kShardIndexName);
}

OrderedJson Describe(const ModelConfig& config, int64_t context) {
  const ParamCounts counts = CountParams(config);
  OrderedJson json;
  json["model_type"] = config.model_type;
  json["parameters"] = counts.total;
  json["active_parameters"] = counts.active;
  json["parts"] = {{"embedding", counts.embedding},
                   {"head", counts.head},
                   {"attention", counts.attention},
                   {"dense_ffn", counts.dense_ffn},
                   {"shared_experts", counts.shared_experts},
                   {"routed_experts", counts.routed_experts},
                   {"router", counts.router},
                   {"norms", counts.norms}};
  json["mtp_parameters"] = counts.mtp;
  json["mtp_depth"] = config.num_nextn_predict_layers;
  json["layers"] = config.num_hidden_layers;
  json["hidden_size"] = config.hidden_size;
  json["heads"] = config.num_attention_heads;
  json["key_heads"] = config.key_heads();
  json["routed_experts"] = config.n_routed_experts;
  json["experts_per_token"] = config.n_routed_experts > 0 ? config.num_experts_per_tok : 0;
  json["vocab_size"] = config.vocab_size;
  json["max_position_embeddings"] = config.max_position_embeddings;
  json["cache_bytes_per_token"] = config.CacheBytesPerToken(2);
  json["cache_bytes_per_token_f32"] = config.CacheBytesPerToken(4);
  json["cache_numbers_per_token"] = config.CacheBytesPerToken(1);
  json["context"] = context;
  const auto half = static_cast<double>(context + 1) / 2;  // keys that a token of a full context sees on average
  json["inference_flops_per_token"] = ForwardFlopsPerToken(config, static_cast<double>(context), false);
  json["training_flops_per_token"] = 3 * ForwardFlopsPerToken(config, half, true);
  json["weight_bytes"] = {{"f32", (counts.total + counts.mtp) * 4}, {"bf16", (counts.total + counts.mtp) * 2}};
  return json;
}

void PrintText(const OrderedJson& json) {
  const auto line = [](std::string_view name, const std::string& value) {
    Print(fmt::format("{:<24} {:>24}\n", name, value));
  };
  const auto count = [&](std::string_view name, const OrderedJson& value) {
    line(name, Grouped(value.get<int64_t>()));
  };
  const auto text = [](std::string_view name, const std::string& value) {
    Print(fmt::format("{:<24} {}\n", name, PlainText(value)));
  };
  for (const char* key : {"folder", "stage", "step", "model_type", "tokenizer_ids", "tokenizer_error"}) {
    if (json.contains(key)) text(key, json[key].is_string() ? json[key].get<std::string>() : json[key].dump());
  }
  if (json.contains("special_tokens")) {
    const OrderedJson& tokens = json["special_tokens"];
    std::string list = fmt::format("{}", tokens["count"].get<int64_t>());
    for (const char* key : {"bos", "eos", "pad"}) {
      if (tokens.contains(key)) {
        list += fmt::format("; {} {} ({})", key, tokens[key]["text"].get<std::string>(), tokens[key]["id"].dump());
      }
    }
    text("special tokens", list);
  }
  if (json.contains("chat_template")) {
    text("chat template", json["chat_template"].is_null() ? "none" : json["chat_template"].get<std::string>());
  }
  if (json.contains("stored")) {
    text("stored", fmt::format("{} in {} files, {}", ReadableBytes(json["stored"]["bytes"].get<int64_t>()),
                               json["stored"]["files"].get<int64_t>(), json["stored"]["types"].get<std::string>()));
  }
  count("parameters", json["parameters"]);
  count("  active per token", json["active_parameters"]);
  for (const auto& [part, number] : json["parts"].items()) count("  " + part, number);
  count("MTP parameters", json["mtp_parameters"]);
  line("weights as f32", Readable(json["weight_bytes"]["f32"].get<double>(), "B"));
  line("weights as bf16", Readable(json["weight_bytes"]["bf16"].get<double>(), "B"));
  count("cache bytes per token", json["cache_bytes_per_token"]);
  count("  in f32", json["cache_bytes_per_token_f32"]);
  const std::string at = fmt::format(" (context {})", json["context"].get<int64_t>());
  for (const auto& [form, memory] : json["memory"]["serve"].items()) {
    const std::string name = fmt::format("memory to serve{}", form == "expanded" ? "" : ", " + form);
    line(name, ReadableBytes(memory["total"].get<int64_t>()) + at);
  }
  line("memory to train", ReadableBytes(json["memory"]["train"]["total"].get<int64_t>()) + at);
  line("inference per token", Readable(json["inference_flops_per_token"].get<double>(), "FLOP") + at);
  line("training per token", Readable(json["training_flops_per_token"].get<double>(), "FLOP") + at);
}

}  // namespace

ExitCode RunInfo(CommandLine& line) {
  std::string folder, config_file;
  int64_t context = 0;
  bool json = false;
  line.ModelFlag(&folder, true);
  line.Flag("--config FILE", &config_file, "a config.json alone");
  line.Flag("--context N", &context,
            "tokens before the one whose operations and memory are counted; 0: 4096, or the model's longest")
      .minimum = 0;
  line.Flag("--json", &json, "as one JSON object");
  line.Example("sputnik info --config config.json --json");
  line.Example("sputnik info runs/demo");
  line.Note(
      "Counts are exact. Active parameters are those one token uses: routed experts it is not sent to, and the input "
      "embedding, left out; MTP modules are counted apart. The cache is the latent one, or that of the key heads, in "
      "bf16 unless it says otherwise. A multiply-add counts as two operations. Memory to serve: weights as they are "
      "stored (bf16 for a config alone), one sequence of the context in the cache, and one forward; to train: float32 "
      "weights, gradients, the default optimizer, and one micro-batch of the context with recompute.");
  if (!line.Parse()) return ExitCode::kOk;
  if (folder.empty() == config_file.empty()) {
    ThrowUsage("sputnik info: give either a model folder or --config FILE");
  }

  OrderedJson about;
  fs::path config_path = config_file;
  if (!folder.empty()) {
    const fs::path resolved = ResolveModelFolder(folder);
    const fs::path weights_folder = WeightsFolder(resolved);
    config_path = weights_folder / "config.json";
    about["folder"] = resolved.string();
    if (IsAdapterFolder(resolved)) about["base"] = weights_folder.string();
    if (fs::exists(resolved / "trainer" / "state.json")) {
      const RunState state = ReadRunState(resolved);
      about["stage"] = state.stage;
      about["step"] = state.global_step;
    }
    DescribeTokenizer(fs::exists(resolved / "tokenizer.json") ? resolved : weights_folder, about);
  }
  ModelConfig config = ReadModelConfig(config_path);
  WeightMemory weights;
  if (!folder.empty() && HasWeights(config_path.parent_path())) {
    const StoredModel stored(config_path.parent_path());
    config = stored.config();
    weights = MemoryToLoad(stored, false);
    about["stored"] = {{"types", stored.TypeNames()}, {"bytes", stored.bytes()}, {"files", stored.files().size()}};
  } else {
    const ParamCounts counts = CountParams(config);
    weights.mapped = 2 * (counts.total + counts.mtp);  // as models are mostly stored
  }
  if (context == 0) context = std::min<int64_t>(4096, config.max_position_embeddings);
  about.update(Describe(config, context));
  about["memory"] = DescribeMemoryNeeds(config, weights, context);
  if (json) {
    Print(about.dump(2) + "\n");
  } else {
    PrintText(about);
  }
  return ExitCode::kOk;
}

}  // namespace sputnik
