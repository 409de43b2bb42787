#include "text/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/json_view.h"
#include "text/pipeline_json.h"

namespace sputnik {
namespace {

// Reads tokenizer.json in one pass. model.vocab and model.merges, which are nearly all of it, go into flat tables: a
// tree of JSON values takes three times as long, and loses a token that is named twice. The rest becomes a tree.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& source, TokenizerJson* file) : source_(source), file_(*file) {}

  Json root;
  bool has_vocab = false, has_merges = false;

  bool null() override { return Value(nullptr); }
  bool boolean(bool value) override { return Value(value); }
  bool number_float(double value, const std::string&) override { return Value(value); }
  bool binary(Json::binary_t&) override { return true; }
  bool number_integer(int64_t value) override {
    if (place_ != Place::kVocab) return Value(value);
    file_.ids.push_back(value);
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kVocab) return Value(value);
    file_.ids.push_back(static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX)));
    return true;
  }
  bool string(std::string& value) override {
    if (place_ == Place::kMerges) {
      AddMerge(value);
    } else if (place_ == Place::kMergePair) {
      file_.merges.Add(value);
    } else {
      return Value(value);
    }
    return true;
  }
  bool key(std::string& name) override {
    if (place_ == Place::kVocab) {
      file_.names.Add(name);
    } else {
      key_ = name;
    }
    return true;
  }
  bool start_object(size_t) override {
    if (InModel() && key_ == "vocab") {
      if (std::exchange(has_vocab, true)) ThrowBadInput("{}: model.vocab is there twice", source_);
      place_ = Place::kVocab;
      return true;
    }
    return Open(Json::object());
  }
  bool end_object() override {
    if (place_ == Place::kVocab) {
      place_ = Place::kTree;
      return true;
    }
    open_.pop_back();
    return true;
  }
  bool start_array(size_t) override {
    if (place_ == Place::kMerges) {
      place_ = Place::kMergePair;
      return true;
    }
    if (InModel() && key_ == "merges") {
      if (std::exchange(has_merges, true)) ThrowBadInput("{}: model.merges is there twice", source_);
      place_ = Place::kMerges;
      return true;
    }
    return Open(Json::array());
  }
  bool end_array() override {
    if (place_ == Place::kMergePair) {
      if (file_.merges.starts.size() != (merge_count_ + 1) * 2 + 1) WrongMerge();
      ++merge_count_;
      place_ = Place::kMerges;
    } else if (place_ == Place::kMerges) {
      place_ = Place::kTree;
    } else {
      open_.pop_back();
    }
    return true;
  }
  bool parse_error(size_t, const std::string&, const Json::exception& e) override {
    ThrowBadInput("{}: not valid JSON: {}", source_, e.what());
  }

 private:
  enum class Place { kTree, kVocab, kMerges, kMergePair };

  bool InModel() const { return place_ == Place::kTree && open_.size() == 2 && model_ == open_.back(); }

  [[noreturn]] void WrongMerge() const {
    ThrowBadInput("{}: model.merges: entry {} is not two tokens (a string with one space, or two strings)", source_,
                  merge_count_);
  }

  void AddMerge(std::string_view text) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) WrongMerge();
    file_.merges.Add(text.substr(0, space));
    file_.merges.Add(text.substr(space + 1));
    ++merge_count_;
  }

  Json* Put(Json value) {
    if (place_ == Place::kVocab)
      ThrowBadInput("{}: model.vocab: the id of \"{}\" is not a whole number", source_,
                    file_.names.size() > 0 ? file_.names[file_.names.size() - 1] : "");
    if (place_ != Place::kTree) WrongMerge();
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    if (parent.contains(key_)) ThrowBadInput("{}: the key \"{}\" is there twice in one object", source_, key_);
    return &(parent[key_] = std::move(value));
  }
  bool Value(Json value) {
    Put(std::move(value));
    return true;
  }
  bool Open(Json container) {
    constexpr size_t kMaxDepth = 128;
    if (open_.size() == kMaxDepth) ThrowBadInput("{}: JSON is nested deeper than {} levels", source_, kMaxDepth);
    Json* placed = Put(std::move(container));
    if (open_.size() == 1 && open_[0]->is_object() && key_ == "model") model_ = placed;
    open_.push_back(placed);
    return true;
  }

  const std::string& source_;
  TokenizerJson& file_;
  Place place_ = Place::kTree;
  std::string key_;
  std::vector<Json*> open_;  // from the root to the innermost container
  const Json* model_ = nullptr;
  size_t merge_count_ = 0;
};

void ReadModel(const JsonView& model, TokenizerJson* file) {
  model.KnowsOnly({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                   "byte_fallback", "ignore_merges"});
  model.Refuse("type", "BPE");
  model.Refuse("dropout", nullptr, 0.0);
  model.Refuse("continuing_subword_prefix", nullptr, "");
  model.Refuse("end_of_word_suffix", nullptr, "");
  file->byte_fallback = model.Bool("byte_fallback", false);
  file->fuse_unknown = model.Bool("fuse_unk", false);
  file->ignore_merges = model.Bool("ignore_merges", false);
  if (!model.Get("unk_token").is_null()) file->unknown = model.String("unk_token");
}

std::vector<AddedToken> ReadAddedTokens(const Json& list, const std::string& source) {
  std::vector<AddedToken> added;
  if (list.is_null()) return added;
  if (!list.is_array()) ThrowBadInput("{}: added_tokens is not an array", source);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = fmt::format("added_tokens[{}]", i);
    const JsonView view(list[i], place, source);
    AddedToken token;
    token.content = view.String("content");
    if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
      ThrowBadInput("{}: {}.content has {} bytes; 1 to {} are supported", source, place, token.content.size(),
                    kMaxAddedTokenBytes);
    }
    view.KnowsOnly({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    token.id = static_cast<int32_t>(view.Whole("id", 0, kMaxTokenizerTokens - 1));
    token.special = view.Bool("special", false);
    token.normalized = view.Bool("normalized", !token.special);
    token.single_word = view.Bool("single_word", false);
    token.lstrip = view.Bool("lstrip", false);
    token.rstrip = view.Bool("rstrip", false);
    added.push_back(std::move(token));
  }
  std::stable_sort(added.begin(), added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return added;
}

}  // namespace

TokenizerJson ParseTokenizerJson(std::string_view json, const std::string& source) {
  TokenizerJson file;
  Reader reader(source, &file);
  Json::sax_parse(json.begin(), json.end(), &reader);
  const JsonView root(reader.root, "the file's content", source);
  root.KnowsOnly({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                  "decoder", "model"});
  const JsonView model(root.Get("model"), "model", source);
  if (!reader.has_vocab) ThrowBadInput("{}: model.vocab is missing or not an object", source);
  if (!reader.has_merges) ThrowBadInput("{}: model.merges is missing or not an array", source);
  ReadModel(model, &file);
  file.normalizer = ReadNormalizer(root.Get("normalizer"), source);
  file.steps = ReadPreTokenizer(root.Get("pre_tokenizer"), source, &file.byte_level);
  file.post = ReadPostProcessor(root.Get("post_processor"), source);
  file.decoder = ReadDecoder(root.Get("decoder"), source);
  file.added = ReadAddedTokens(root.Get("added_tokens"), source);
  return file;
}

SpecialTokenNames ParseTokenizerConfig(std::string_view json, const std::string& source) {
  const Json root = ParseJson(json, source);
  const JsonView view(root, "the file's content", source);
  const auto name = [&](const char* key) {
    const Json& value = view.Get(key);
    if (value.is_null()) return std::string();
    return value.is_string() ? value.get<std::string>() : JsonView(value, key, source).String("content");
  };
  const auto flag = [&](const char* key) -> std::optional<bool> {
    if (!root.contains(key)) return std::nullopt;
    return view.Bool(key, false);
  };
  return {name("bos_token"), name("eos_token"), name("pad_token"), flag("add_bos_token"), flag("add_eos_token")};
}

std::string FormatTokenizerJson(const TokenizerJson& file) {
  const auto quote = [](std::string_view text) { return Json(text).dump(); };
  OrderedJson head = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  head["added_tokens"] = OrderedJson::array();
  for (const AddedToken& token : file.added) {
    head["added_tokens"].push_back({{"id", token.id},
                                    {"content", token.content},
                                    {"single_word", token.single_word},
                                    {"lstrip", token.lstrip},
                                    {"rstrip", token.rstrip},
                                    {"normalized", token.normalized},
                                    {"special", token.special}});
  }
  head["normalizer"] = nullptr;
  OrderedJson parts = OrderedJson::array();
  for (const PreTokenizerStep& step : file.steps) {
    parts.push_back({{"type", "Split"},
                     {"pattern", {{step.literal ? "String" : "Regex", step.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  const OrderedJson byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  parts.push_back(byte_level);
  head["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", parts}};
  head["post_processor"] = byte_level;
  head["decoder"] = byte_level;

  // The model by hand: as a JSON value it would be slow to build, and people read it one entry to a line.
  std::string text = head.dump(2);
  text.resize(text.size() - 2);  // the closing brace and its line
  text +=
      ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
      "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
      "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {";
  for (int32_t i = 0; i < file.names.size(); ++i) {
    text += fmt::format("{}\n      {}: {}", i == 0 ? "" : ",", quote(file.names[i]), file.ids[static_cast<size_t>(i)]);
  }
  text += "\n    },\n    \"merges\": [";
  for (int32_t i = 0; i < file.merges.size(); i += 2) {
    text +=
        fmt::format("{}\n      {}", i == 0 ? "" : ",", quote(fmt::format("{} {}", file.merges[i], file.merges[i + 1])));
  }
  text += "\n    ]\n  }\n}\n";
  return text;
}

std::string FormatTokenizerConfig(const SpecialTokenNames& names, std::string_view chat_template,
                                  int64_t model_max_length) {
  const auto name = [](const std::string& text) { return text.empty() ? OrderedJson(nullptr) : OrderedJson(text); };
  const OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                              {"bos_token", name(names.bos)},
                              {"eos_token", name(names.eos)},
                              {"pad_token", name(names.pad)},
                              {"add_bos_token", false},
                              {"add_eos_token", false},
                              {"clean_up_tokenization_spaces", false},
                              {"model_max_length", model_max_length},
                              {"chat_template", chat_template}};
  return config.dump(2) + "\n";
}

}  // namespace sputnik
