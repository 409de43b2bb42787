#include "tensor/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"

namespace sputnik {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little endian");

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kMaxSize = uint64_t{1} << 62;

std::optional<DType> TypeNamed(std::string_view name) {
  for (const DType type : {DType::kF32, DType::kF64, DType::kBF16, DType::kI32}) {
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

// Names become map keys, file names of nobody, and words in messages: nothing printable is refused, control characters
// (which could steer a terminal) and absurd lengths are.
void CheckName(const std::string& name, const std::string& where) {
  constexpr size_t kLongest = 1024;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > kLongest || std::any_of(name.begin(), name.end(), control)) {
    ThrowBadInput("{}: the name {} is empty, longer than {} bytes or holds control characters", where,
                  Shortened(Json(name).dump()), kLongest);
  }
}

// Parses the header; nlohmann keeps the last of two equal keys, so duplicates are caught on the way.
Json ParseHeader(std::string_view text, const std::string& where) {
  std::vector<std::vector<std::string>> open_keys;
  const Json::parser_callback_t refuse_duplicates = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > 8) ThrowBadInput("{}: the header is nested too deeply for a safetensors file", where);
    if (event == Json::parse_event_t::object_start) open_keys.emplace_back();
    if (event == Json::parse_event_t::object_end) {
      std::vector<std::string>& keys = open_keys.back();
      std::sort(keys.begin(), keys.end());
      const auto twice = std::adjacent_find(keys.begin(), keys.end());
      if (twice != keys.end()) ThrowBadInput("{}: the header names `{}` twice", where, Shortened(*twice));
      open_keys.pop_back();
    }
    if (event == Json::parse_event_t::key) {
      open_keys.back().push_back(value.get<std::string>());
      if (open_keys.size() == 1) CheckName(open_keys.back().back(), where);
    }
    return true;
  };
  // The parser skips a byte order mark and takes a NUL for the end of the text.
  if (text.starts_with("\xef\xbb\xbf") || text.find('\0') != text.npos) {
    ThrowBadInput("{}: the header is not plain JSON: it holds a byte order mark or a NUL", where);
  }
  try {
    return Json::parse(text.begin(), text.end(), refuse_duplicates);
  } catch (const Json::exception& e) {
    ThrowBadInput("{}: the header is not valid JSON: {}", where, Shortened(e.what()));
  }
}

StoredTensor ReadEntry(const std::string& name, const Json& entry, std::span<const std::byte> data,
                       const std::string& where) {
  const auto refuse = [&](std::string_view reason) { ThrowBadInput("{}: tensor `{}`: {}", where, name, reason); };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    refuse("the entry must hold exactly dtype, shape and data_offsets");
  }
  const Json &type = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  if (!type.is_string()) refuse("dtype is not a string");
  const std::optional<DType> dtype = TypeNamed(type.get<std::string>());
  if (!dtype) refuse(fmt::format("type {} is not supported (F32, BF16, F64 and I32 are)", Shortened(type.dump())));
  StoredTensor tensor{.dtype = *dtype, .shape = {}, .data = {}};
  if (!shape.is_array() || shape.size() > kMaxRank) refuse("shape is not a list of at most 8 sizes");
  uint64_t bytes = static_cast<uint64_t>(SizeOf(*dtype));
  const bool empty = std::find(shape.begin(), shape.end(), Json(0u)) != shape.end();
  if (empty) bytes = 0;
  for (const Json& size : shape) {
    if (!size.is_number_unsigned()) refuse("a size is not a whole number");
    const auto value = size.get<uint64_t>();
    if (value > kMaxSize) refuse("a size is larger than any file");
    if (!empty && bytes > data.size() / value) refuse("the shape needs more bytes than the file has");
    bytes *= value;
    tensor.shape.push_back(static_cast<int64_t>(value));
  }
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    refuse("data_offsets is not a pair of whole numbers");
  }
  const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
  if (begin > end || end > data.size()) {
    refuse(fmt::format("data_offsets [{}, {}) lie outside the file's {} data bytes; is the file complete?", begin, end,
                       data.size()));
  }
  if (end - begin != bytes)
    refuse(fmt::format("data_offsets span {} bytes but the shape needs {}", end - begin, bytes));
  tensor.data = data.subspan(begin, bytes);
  return tensor;
}

void CheckCoverage(const std::map<std::string, StoredTensor>& tensors, std::span<const std::byte> data,
                   const std::string& where) {
  std::vector<std::span<const std::byte>> pieces;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.data.empty()) pieces.push_back(tensor.data);
  }
  std::sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.data() < b.data(); });
  const std::byte* next = data.data();
  for (const auto& piece : pieces) {
    if (piece.data() != next) ThrowBadInput("{}: the tensors' data overlap or leave a hole", where);
    next = piece.data() + piece.size();
  }
  if (next != data.data() + data.size()) ThrowBadInput("{}: there are bytes behind the last tensor", where);
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
  const Json json = ParseHeader(header, where);
  if (!json.is_object()) ThrowBadInput("{}: the header is not a JSON object", where);
  const std::span<const std::byte> data = bytes.subspan(8 + header_bytes);
  for (const auto& [name, entry] : json.items()) {
    if (name != "__metadata__") {
      tensors_.emplace(name, ReadEntry(name, entry, data, where));
      continue;
    }
    if (!entry.is_object()) ThrowBadInput("{}: __metadata__ is not an object", where);
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) ThrowBadInput("{}: __metadata__ `{}` is not a string", where, Shortened(key));
      metadata_.emplace(key, value.get<std::string>());
    }
  }
  CheckCoverage(tensors_, data, where);
}

void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                      const std::map<std::string, std::string>& metadata) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorToStore& tensor : tensors) {
    OrderedJson& entry = header[tensor.name];
    CHECK(entry.is_null());
    entry["dtype"] = NameOf(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {offset, offset + tensor.data.size()};
    offset += tensor.data.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned
  const uint64_t length = text.size();
  AtomicFileWriter writer(path);
  writer.Write(&length, sizeof length);
  writer.Write(text.data(), text.size());
  for (const TensorToStore& tensor : tensors) writer.Write(tensor.data.data(), tensor.data.size());
  writer.Commit();
}

}  // namespace sputnik
