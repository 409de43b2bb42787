#include "app/info.h"

#include <filesystem>

#include "app/output.h"
#include "base/json.h"
#include "model/config.h"
#include "model/param.h"
#include "text/tokenizer.h"
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
  for (const char* key : {"folder", "stage", "step", "tokenizer_ids"}) {
    if (json.contains(key)) {
      Print(fmt::format("{:<24} {}\n", key, json[key].is_string() ? json[key].get<std::string>() : json[key].dump()));
    }
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
            "tokens before the one whose operations are counted; 0: 4096, or the model's longest")
      .minimum = 0;
  line.Flag("--json", &json, "as one JSON object");
  line.Example("sputnik info --config config.json --json");
  line.Example("sputnik info runs/demo");
  line.Note(
      "Counts are exact. Active parameters are those one token uses: routed experts it is not sent to, and the input "
      "embedding, left out; MTP modules are counted apart. The cache is the latent one, or that of the key "
      "heads, in bf16 unless it says otherwise. A multiply-add counts as two operations.");
  if (!line.Parse()) return ExitCode::kOk;
  if (folder.empty() == config_file.empty()) {
    ThrowUsage("sputnik info: give either a model folder or --config FILE");
  }

  OrderedJson about;
  fs::path config_path = config_file;
  if (!folder.empty()) {
    const fs::path resolved = ResolveModelFolder(folder);
    config_path = resolved / "config.json";
    about["folder"] = resolved.string();
    if (fs::exists(resolved / "trainer" / "state.json")) {
      const RunState state = ReadRunState(resolved);
      about["stage"] = state.stage;
      about["step"] = state.global_step;
    }
    if (fs::exists(resolved / "tokenizer.json")) {
      const Tokenizer tokenizer = Tokenizer::Load(resolved);
      about["tokenizer_ids"] = tokenizer.vocab_size();
      about["tokenizer_hash"] = tokenizer.hash();
    }
  }
  const ModelConfig config = ReadModelConfig(config_path);
  if (context == 0) context = std::min<int64_t>(4096, config.max_position_embeddings);
  about.update(Describe(config, context));
  if (json) {
    Print(about.dump(2) + "\n");
  } else {
    PrintText(about);
  }
  return ExitCode::kOk;
}

}  // namespace sputnik
