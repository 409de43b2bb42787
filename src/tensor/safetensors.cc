#include "tensor/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"

namespace sputnik {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little endian");

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kMaxSize = uint64_t{1} << 62;

// What a header may hold at most. The largest model there is needs 92,000 tensors; none of these bounds is near it, and
// together they keep a hostile header from taking memory.
constexpr size_t kMaxTensors = size_t{1} << 17, kMaxMetadata = size_t{1} << 14;
constexpr size_t kMaxNameBytes = size_t{1} << 24, kMaxMetadataBytes = size_t{1} << 23;
constexpr size_t kMaxString = size_t{1} << 22, kMaxName = 1024;

// What the format knows and no weight of ours is stored as.
constexpr std::string_view kOtherTypes[] = {"BOOL", "F4",  "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E8M0", "U8",
                                            "I8",   "I16", "U16",     "U32",     "I64",     "U64",     "C64"};

std::optional<DType> TypeNamed(std::string_view name) {
  for (const DType type : {DType::kF32, DType::kF64, DType::kBF16, DType::kI32, DType::kF16, DType::kF8E4M3}) {
    if (NameOf(type) == name) return type;
  }
  return std::nullopt;
}

// What stands in a message: a file may hold a name or a value of any length.
std::string Shortened(std::string text) {
  constexpr size_t kLongest = 240;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

// The parser gathers a string before it shows it to anyone, so that endless ones are looked for first. Quotes stand
// around strings only.
void CheckStringLengths(std::string_view text, const std::string& where) {
  for (size_t open = text.find('"'); open != text.npos; open = text.find('"', open + 1)) {
    size_t close = open;
    do {
      close = text.find('"', close + 1);
      if (close == text.npos) close = text.size();
      size_t first = close;
      while (first > open + 1 && text[first - 1] == '\\') --first;
      if ((close - first) % 2 == 0) break;  // not escaped
    } while (close < text.size());
    if (close - open > kMaxString)
      ThrowBadInput("{}: the header holds a string of more than {} bytes", where, kMaxString);
    open = close;
    if (open >= text.size()) return;
  }
}

struct Entry {
  std::optional<DType> dtype;
  std::vector<int64_t> shape;
  std::vector<uint64_t> offsets;
};

StoredTensor Place(const std::string& name, const Entry& entry, std::span<const std::byte> data,
                   const std::string& where) {
  const auto refuse = [&](std::string_view reason) { ThrowBadInput("{}: tensor `{}`: {}", where, name, reason); };
  uint64_t bytes = static_cast<uint64_t>(SizeOf(*entry.dtype));
  const bool empty = std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end();
  if (empty) bytes = 0;
  for (const int64_t size : entry.shape) {
    const auto value = static_cast<uint64_t>(size);
    if (!empty && bytes > data.size() / value) refuse("the shape needs more bytes than the file has");
    bytes *= value;
  }
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end > data.size()) {
    refuse(fmt::format("data_offsets [{}, {}) lie outside the file's {} data bytes; is the file complete?", begin, end,
                       data.size()));
  }
  if (end - begin != bytes)
    refuse(fmt::format("data_offsets span {} bytes but the shape needs {}", end - begin, bytes));
  return {.dtype = *entry.dtype, .shape = entry.shape, .data = data.subspan(begin, bytes)};
}

// Takes the header as it is parsed (nlohmann's SAX interface): each value is judged when it comes, and nothing is kept
// but what a tensor needs.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> data, const std::string& where, std::map<std::string, StoredTensor>& tensors,
               std::map<std::string, std::string>& metadata)
      : data_(data), where_(where), tensors_(tensors), metadata_(metadata) {}

  bool null() { return Other(); }
  bool boolean(bool) { return Other(); }
  bool number_integer(int64_t) { return Other(); }
  bool number_float(double, const std::string&) { return Other(); }
  bool binary(const Json::binary_t&) { return Other(); }

  bool number_unsigned(uint64_t value) {
    if (depth_ != 3) return Other();
    if (field_ == Field::kOffsets) {
      if (entry_.offsets.size() == 2) Refuse(kNoPair);
      entry_.offsets.push_back(value);
      return true;
    }
    if (value > kMaxSize) Refuse("a size is larger than any file");
    if (entry_.shape.size() == kMaxRank) Refuse(kNoShape);
    entry_.shape.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& value) {
    if (depth_ == 2 && in_metadata_) {
      metadata_bytes_ += name_.size() + value.size();
      if (metadata_.size() == kMaxMetadata || metadata_bytes_ > kMaxMetadataBytes) {
        ThrowBadInput("{}: __metadata__ is larger than {} texts of {} bytes in all", where_, kMaxMetadata,
                      kMaxMetadataBytes);
      }
      if (!metadata_.emplace(name_, std::move(value)).second) Twice(name_);
      return true;
    }
    if (depth_ != 2 || field_ != Field::kType) return Other();
    entry_.dtype = TypeNamed(value);
    if (entry_.dtype) return true;
    const bool known = std::find(std::begin(kOtherTypes), std::end(kOtherTypes), value) != std::end(kOtherTypes);
    Refuse(known ? fmt::format("type \"{}\" is not supported (F32, BF16, F16, F8_E4M3, F64 and I32 are)", value)
                 : fmt::format("type {} is not supported: the format has none of that name",
                               Shortened(Json(std::move(value)).dump(-1, ' ', false, Json::error_handler_t::replace))));
    return true;
  }

  bool start_object(size_t) {
    if (depth_ > 1) return Other();
    if (depth_ == 1 && !in_metadata_) {
      entry_ = {};
      seen_ = 0;
    }
    ++depth_;
    return true;
  }

  bool key(std::string& key) {
    if (depth_ == 1) {
      in_metadata_ = key == "__metadata__";
      if (in_metadata_ && std::exchange(metadata_seen_, true)) Twice(key);
      if (!in_metadata_) {
        CheckName(key);
        if (tensors_.contains(key)) Twice(key);
        name_bytes_ += key.size();
        if (tensors_.size() == kMaxTensors || name_bytes_ > kMaxNameBytes) {
          ThrowBadInput("{}: the header names more than {} tensors, or with more than {} bytes", where_, kMaxTensors,
                        kMaxNameBytes);
        }
        name_ = std::move(key);
      }
      return true;
    }
    if (in_metadata_) {
      name_ = std::move(key);
      return true;
    }
    field_ = key == "dtype"          ? Field::kType
             : key == "shape"        ? Field::kShape
             : key == "data_offsets" ? Field::kOffsets
                                     : Field::kNone;
    if (field_ == Field::kNone) Refuse(kNoEntry);
    if ((seen_ & Bit(field_)) != 0) Twice(key);
    seen_ |= Bit(field_);
    return true;
  }

  bool end_object() {
    if (depth_-- == 2 && !in_metadata_) {
      if (seen_ != (Bit(Field::kType) | Bit(Field::kShape) | Bit(Field::kOffsets))) Refuse(kNoEntry);
      StoredTensor tensor = Place(name_, entry_, data_, where_);
      tensors_.emplace(std::move(name_), std::move(tensor));
    }
    return true;
  }

  bool start_array(size_t) {
    if (depth_ != 2 || in_metadata_ || field_ == Field::kType) return Other();
    ++depth_;
    return true;
  }
  bool end_array() {
    --depth_;
    if (field_ == Field::kOffsets && entry_.offsets.size() != 2) Refuse(kNoPair);
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& e) {
    ThrowBadInput("{}: the header is not valid JSON: {}", where_, Shortened(e.what()));
  }

 private:
  enum class Field : uint8_t { kNone, kType, kShape, kOffsets };
  static constexpr const char* kNoEntry = "the entry must hold exactly dtype, shape and data_offsets";
  static constexpr const char* kNoShape = "shape is not a list of at most 8 sizes";
  static constexpr const char* kNoPair = "data_offsets is not a pair of whole numbers";
  static constexpr unsigned Bit(Field field) { return 1u << static_cast<unsigned>(field); }

  [[noreturn]] void Refuse(std::string_view reason) const {
    ThrowBadInput("{}: tensor `{}`: {}", where_, name_, reason);
  }
  [[noreturn]] void Twice(const std::string& name) const {
    ThrowBadInput("{}: the header names `{}` twice", where_, Shortened(name));
  }

  // A value where nothing of its kind may stand.
  bool Other() {
    if (depth_ == 0) ThrowBadInput("{}: the header is not a JSON object", where_);
    if (in_metadata_ && depth_ == 1) ThrowBadInput("{}: __metadata__ is not an object", where_);
    if (in_metadata_) ThrowBadInput("{}: __metadata__ `{}` is not a string", where_, Shortened(name_));
    if (depth_ == 1) Refuse(kNoEntry);
    if (field_ == Field::kType) Refuse("dtype is not a string");
    if (field_ == Field::kOffsets) Refuse(kNoPair);
    Refuse(depth_ == 2 ? kNoShape : "a size is not a whole number");
  }

  // Names become map keys, file names of nobody, and words in messages: nothing printable is refused, control
  // characters (which could steer a terminal) and absurd lengths are.
  void CheckName(const std::string& name) const {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (name.empty() || name.size() > kMaxName || std::any_of(name.begin(), name.end(), control)) {
      ThrowBadInput("{}: the name {} is empty, longer than {} bytes or holds control characters", where_,
                    Shortened(Json(name).dump()), kMaxName);
    }
  }

  std::span<const std::byte> data_;
  const std::string& where_;
  std::map<std::string, StoredTensor>& tensors_;
  std::map<std::string, std::string>& metadata_;
  int depth_ = 0;
  bool in_metadata_ = false, metadata_seen_ = false;
  size_t name_bytes_ = 0, metadata_bytes_ = 0;
  std::string name_;
  Field field_ = Field::kNone;
  unsigned seen_ = 0;
  Entry entry_;
};

// Each byte belongs to one tensor, and an empty tensor lies between two others.
void CheckCoverage(const std::map<std::string, StoredTensor>& tensors, std::span<const std::byte> data,
                   const std::string& where) {
  using Named = std::pair<const std::string, StoredTensor>;
  std::vector<const Named*> order;
  for (const Named& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const Named* a, const Named* b) {
    return std::pair(a->second.data.data(), a->second.data.size()) <
           std::pair(b->second.data.data(), b->second.data.size());
  });
  const std::byte* next = data.data();
  for (const Named* tensor : order) {
    const std::span<const std::byte> piece = tensor->second.data;
    if (piece.data() != next) {
      ThrowBadInput("{}: tensor `{}`: its data {} the tensor before it: the tensors' data overlap or leave a hole",
                    where, tensor->first, piece.data() < next ? "overlap with" : "do not begin where those end of");
    }
    next = piece.data() + piece.size();
  }
  if (next != data.data() + data.size()) {
    ThrowBadInput("{}: there are bytes behind the last tensor{}", where,
                  order.empty() ? "" : fmt::format(", `{}`", order.back()->first));
  }
}

}  // namespace

int64_t StoredTensor::elements() const { return static_cast<int64_t>(data.size()) / SizeOf(dtype); }

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::string where = path.string();
  if (bytes.size() < 8) ThrowBadInput("{}: too short for a safetensors file ({} bytes)", where, bytes.size());
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  if (header_bytes > kMaxHeader || header_bytes > bytes.size() - 8) {
    ThrowBadInput("{}: the header claims {} bytes of a file of {}; not a safetensors file, or cut short", where,
                  header_bytes, bytes.size());
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  // The parser skips a byte order mark and takes a NUL for the end of the text.
  if (header.starts_with("\xef\xbb\xbf") || header.find('\0') != header.npos) {
    ThrowBadInput("{}: the header is not plain JSON: it holds a byte order mark or a NUL", where);
  }
  CheckStringLengths(header, where);
  const std::span<const std::byte> data = bytes.subspan(8 + header_bytes);
  HeaderReader reader(data, where, tensors_, metadata_);
  Json::sax_parse(header.begin(), header.end(), &reader);
  CheckCoverage(tensors_, data, where);
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  std::set<std::string_view> names;
  std::string text = "{";
  if (!metadata.empty()) text += fmt::format("\"__metadata__\":{}", Json(metadata).dump());
  for (const TensorToStore& tensor : tensors) {
    CHECK(names.insert(tensor.name).second);
    int64_t bytes = SizeOf(tensor.dtype);
    for (const int64_t size : tensor.shape) bytes *= size;
    text +=
        fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}", text.size() > 1 ? "," : "",
                    Json(tensor.name).dump(), NameOf(tensor.dtype), Json(tensor.shape).dump(), left_, left_ + bytes);
    left_ += bytes;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned
  const uint64_t length = text.size();
  file_.Write(&length, sizeof length);
  file_.Write(text.data(), text.size());
}

void SafetensorsWriter::Write(std::span<const std::byte> data) {
  left_ -= static_cast<int64_t>(data.size());
  file_.Write(data.data(), data.size());
}

void SafetensorsWriter::Commit() {
  CHECK_EQ(left_, 0);
  file_.Commit();
}

void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                      const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, tensors, metadata);
  for (const TensorToStore& tensor : tensors) writer.Write(tensor.data);
  writer.Commit();
}

}  // namespace sputnik
