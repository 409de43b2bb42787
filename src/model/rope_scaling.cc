#include "model/rope_scaling.h"

#include "base/error.h"

namespace sputnik {
namespace {

constexpr double kMany = 1 << 30;  // the most positions there may be

// One of the two objects, with the key that errors name.
class Reader {
 public:
  Reader(const Json& object, std::string_view key, std::string_view where)
      : object_(object), key_(key), where_(where) {}

  double Number(const char* name, double fallback, double least, double most) const {
    const auto entry = object_.find(name);
    if (entry == object_.end() || entry->is_null()) return fallback;
    const double value = entry->is_number() ? entry->get<double>() : -1;
    if (!entry->is_number() || !(value >= least && value <= most)) {
      ThrowUsage("{}: `{}.{}` is {}, expected a number between {} and {}", where_, key_, name, entry->dump(), least,
                 most);
    }
    return value;
  }

  void Require(const char* name, const Json& only) const {
    const auto entry = object_.find(name);
    if (entry != object_.end() && !entry->is_null() && *entry != only) {
      ThrowUsage("{}: `{}.{}` is {}, and only {} is supported", where_, key_, name, entry->dump(), only.dump());
    }
  }

  void Need(const char* name) const {
    if (!object_.contains(name)) ThrowUsage("{}: `{}.{}` is missing", where_, key_, name);
  }

  std::string Type() const {
    Json type = "default";
    for (const char* name : {"type", "rope_type"}) {
      if (object_.contains(name) && !object_[name].is_null()) type = object_[name];
    }
    const bool known = type == "default" || type == "yarn" || type == "llama3" || type == "linear";
    if (!known) {
      ThrowUsage("{}: {} of type {} is not supported; \"yarn\", \"llama3\" and \"linear\" are", where_, key_,
                 type.dump());
    }
    return type.get<std::string>();
  }

 private:
  const Json& object_;
  std::string_view key_, where_;
};

void ReadObject(const Reader& reader, ModelConfig& config, std::string_view where) {
  config.rope_theta = reader.Number("rope_theta", config.rope_theta, 1, 1e18);
  reader.Require("partial_rotary_factor", 1.0);
  const std::string type = reader.Type();
  if (type == "default") return;
  RopeScaling& scaling = config.rope_scaling;
  scaling.type = type;
  reader.Need("factor");
  scaling.factor = reader.Number("factor", 1, 1, 1e6);
  if (type == "linear") return;
  scaling.original_max_position_embeddings = static_cast<int64_t>(
      reader.Number("original_max_position_embeddings", static_cast<double>(config.max_position_embeddings), 1, kMany));
  if (type == "llama3") {
    reader.Need("low_freq_factor");
    reader.Need("high_freq_factor");
    scaling.low_freq_factor = reader.Number("low_freq_factor", 1, 1e-3, 1e6);
    scaling.high_freq_factor = reader.Number("high_freq_factor", 4, scaling.low_freq_factor + 1e-3, 1e6);
    return;
  }
  reader.Require("truncate", true);
  scaling.beta_fast = reader.Number("beta_fast", 32, 1e-3, 1e6);
  scaling.beta_slow = reader.Number("beta_slow", 1, 1e-3, 1e6);
  scaling.mscale = reader.Number("mscale", 1, 0, 1e3);
  scaling.mscale_all_dim = reader.Number("mscale_all_dim", 0, 0, 1e3);
  scaling.attention_factor = reader.Number("attention_factor", 0, 1e-3, 1e3);
  if (config.rope_theta <= 1) {
    ThrowUsage("{}: `rope_theta` is {}, but YaRN needs more than 1", where, config.rope_theta);
  }
}

}  // namespace

void ReadRopeScaling(const Json& json, ModelConfig& config, std::string_view where) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) continue;
    if (!found->is_object()) ThrowUsage("{}: `{}` is not an object", where, key);
    ReadObject(Reader(*found, key, where), config, where);
  }
}

OrderedJson WriteRopeScaling(const RopeScaling& scaling) {
  if (scaling.factor <= 0) return nullptr;
  OrderedJson json = {{"type", scaling.type}, {"rope_type", scaling.type}, {"factor", scaling.factor}};
  if (scaling.type == "linear") return json;
  if (scaling.type == "llama3") {
    json["low_freq_factor"] = scaling.low_freq_factor;
    json["high_freq_factor"] = scaling.high_freq_factor;
  } else {
    json["beta_fast"] = scaling.beta_fast;
    json["beta_slow"] = scaling.beta_slow;
    json["mscale"] = scaling.mscale;
    json["mscale_all_dim"] = scaling.mscale_all_dim;
    if (scaling.attention_factor > 0) json["attention_factor"] = scaling.attention_factor;
  }
  json["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  return json;
}

}  // namespace sputnik
