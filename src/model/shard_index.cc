#include "model/shard_index.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace sputnik {
namespace {

// The largest model there is has 92,000 tensors in 163 files.
constexpr size_t kMaxTensors = size_t{1} << 17, kMaxFiles = 4096, kMaxNameBytes = size_t{1} << 24;
constexpr size_t kMaxName = 1024, kMaxDepth = 16;

std::string Shown(const std::string& text) {
  constexpr size_t kLongest = 240;
  return Json(text.substr(0, kLongest)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A plain file name: also on systems where a backslash or a colon would lead elsewhere.
bool IsPlain(const std::string& name) {
  const auto leads_away = [](char c) {
    return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20;
  };
  return !name.empty() && name != "." && name != ".." && std::none_of(name.begin(), name.end(), leads_away);
}

// Takes the text as it is parsed (nlohmann's SAX interface), so that it costs no more memory than the names in it.
class IndexReader {
 public:
  IndexReader(const std::string& source, ShardIndex& index) : source_(source), index_(index) {}

  bool null() { return Other(); }
  bool boolean(bool) { return Other(); }
  bool number_integer(int64_t) { return Other(); }
  bool number_float(double value, const std::string&) {
    if (!AtTotal()) return Other();
    if (!(value >= 0 && value < 0x1p63) || value != static_cast<double>(static_cast<uint64_t>(value))) return Other();
    index_.total_size = static_cast<uint64_t>(value);  // some writers say 1.2e9
    return true;
  }
  bool number_unsigned(uint64_t value) {
    if (!AtTotal()) return Other();
    index_.total_size = value;
    return true;
  }
  bool binary(const Json::binary_t&) { return Other(); }

  bool string(std::string& file) {
    if (depth_ != 2 || !in_map_) return Other();
    if (!IsPlain(file)) {
      ThrowBadInput("{}: tensor `{}` is in {}, which is not a file name in this folder", source_, name_, Shown(file));
    }
    auto found = files_.find(file);
    if (found == files_.end()) {
      if (files_.size() == kMaxFiles) ThrowBadInput("{}: more than {} files", source_, kMaxFiles);
      found = files_.emplace(file, index_.files.size()).first;
      index_.files.push_back(std::move(file));
    }
    index_.file_of.emplace(std::move(name_), found->second);
    return true;
  }

  bool start_object(size_t) {
    const bool starts_map = depth_ == 1 && in_map_;
    if (depth_ > 0 && !starts_map) Other();
    return Open();
  }
  bool start_array(size_t) {
    Other();
    return Open();
  }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& key) {
    if (key.empty() || key.size() > kMaxName) {
      ThrowBadInput("{}: the name {} is empty or longer than {} bytes", source_, Shown(key), kMaxName);
    }
    if (depth_ == 1) {
      in_map_ = key == "weight_map";
      in_metadata_ = key == "metadata";
      bool& seen = in_map_ ? seen_map_ : seen_metadata_;
      if ((in_map_ || in_metadata_) && std::exchange(seen, true)) Twice(key);
    }
    if (depth_ == 2 && in_map_) {
      name_bytes_ += key.size();
      if (index_.file_of.size() == kMaxTensors || name_bytes_ > kMaxNameBytes) {
        ThrowBadInput("{}: names more than {} tensors, or with more than {} bytes", source_, kMaxTensors,
                      kMaxNameBytes);
      }
      if (index_.file_of.contains(key)) Twice(key);
    }
    if (depth_ == 2 && in_metadata_ && key == "total_size" && std::exchange(seen_total_, true)) Twice(key);
    if (depth_ <= 2) name_ = std::move(key);
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& e) {
    ThrowBadInput("{}: not valid JSON: {}", source_, std::string(e.what()).substr(0, 240));
  }

  void Finish() const {
    if (!seen_map_) NoMap();
  }

 private:
  bool AtTotal() const { return depth_ == 2 && in_metadata_ && name_ == "total_size"; }
  bool Open() {
    if (++depth_ > kMaxDepth) ThrowBadInput("{}: JSON is nested deeper than {} levels", source_, kMaxDepth);
    return true;
  }
  bool Close() {
    --depth_;
    return true;
  }
  [[noreturn]] void NoMap() const { ThrowBadInput("{}: no `weight_map` object; is this an index?", source_); }
  [[noreturn]] void Twice(const std::string& name) const { ThrowBadInput("{}: names `{}` twice", source_, name); }

  // A value that says nothing to us, or is none that may stand there.
  bool Other() {
    if (depth_ == 0) NoMap();
    if (depth_ == 1 && in_map_) NoMap();
    if (depth_ >= 2 && in_map_) ThrowBadInput("{}: the file of tensor `{}` is not a string", source_, name_);
    if (AtTotal()) ThrowBadInput("{}: `total_size` is not a whole number of bytes", source_);
    return true;
  }

  const std::string& source_;
  ShardIndex& index_;
  std::map<std::string, size_t> files_;
  size_t depth_ = 0, name_bytes_ = 0;
  bool in_map_ = false, in_metadata_ = false, seen_map_ = false, seen_metadata_ = false, seen_total_ = false;
  std::string name_;
};

}  // namespace

ShardIndex ParseShardIndex(std::string_view text, const std::string& source) {
  ShardIndex index;
  IndexReader reader(source, index);
  Json::sax_parse(text.begin(), text.end(), &reader);
  reader.Finish();
  return index;
}

std::string WriteShardIndex(const ShardIndex& index) {
  Json json;
  json["metadata"]["total_size"] = index.total_size.value_or(0);
  json["weight_map"] = Json::object();
  for (const auto& [name, file] : index.file_of) json["weight_map"][name] = index.files[file];
  return json.dump(2) + "\n";
}

}  // namespace sputnik
