#include "data/shard.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "shards are read and written in place as little-endian");

constexpr char kMagic[8] = {'s', 'p', 'u', 't', 's', 'h', 'r', 'd'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlignment = 8;
constexpr std::string_view kRemedy = "prepare the data again from the text";

std::string_view TextField(const char (&field)[64]) { return {field, ::strnlen(field, sizeof field)}; }

void SetTextField(std::string_view value, char (&field)[64]) {
  CHECK_LE(value.size(), sizeof field);
  std::copy(value.begin(), value.end(), field);
}

std::string HeaderHash(const ShardHeader& header) {
  return Sha256({reinterpret_cast<const std::byte*>(&header), offsetof(ShardHeader, header_hash)});
}

uint64_t Padding(uint64_t bytes) { return (kAlignment - bytes % kAlignment) % kAlignment; }

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !IsContinuation(byte); });
}

fs::path HeldOutPath(const fs::path& train) {
  fs::path path = train;
  path.replace_filename(train.stem().string() + ".held_out" + train.extension().string());
  return path;
}

}  // namespace

ShardWriter::ShardWriter(const fs::path& path, int64_t vocab_size, std::string_view tokenizer_hash) : file_(path) {
  CHECK_GT(vocab_size, 0);
  std::copy(std::begin(kMagic), std::end(kMagic), header_.magic);
  header_.version = kVersion;
  header_.bytes_per_token = vocab_size <= 65536 ? 2 : 4;
  header_.vocab_size = static_cast<uint64_t>(vocab_size);
  SetTextField(tokenizer_hash, header_.tokenizer_hash);
  file_.Write(&header_, sizeof header_);  // a place holder: the counts and digests are known last
}

void ShardWriter::Append(const void* data, size_t bytes) {
  hash_.Update({static_cast<const std::byte*>(data), bytes});
  file_.Write(data, bytes);
}

void ShardWriter::AddDocument(std::span<const int32_t> ids, std::string_view text) {
  header_.text_bytes += text.size();
  header_.text_characters += static_cast<uint64_t>(CountCharacters(text));
  if (ids.empty()) return;
  document_starts_.push_back(header_.tokens);
  header_.documents += 1;
  header_.tokens += ids.size();
  buffer_.resize(ids.size() * header_.bytes_per_token);
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(ids[i] >= 0 && static_cast<uint64_t>(ids[i]) < header_.vocab_size);
    std::memcpy(buffer_.data() + i * header_.bytes_per_token, &ids[i], header_.bytes_per_token);
  }
  Append(buffer_.data(), buffer_.size());
}

void ShardWriter::Finish() {
  constexpr char kZeros[kAlignment] = {};
  Append(kZeros, Padding(header_.tokens * header_.bytes_per_token));
  Append(document_starts_.data(), document_starts_.size() * sizeof(uint64_t));
  SetTextField(hash_.Finish(), header_.data_hash);
  SetTextField(HeaderHash(header_), header_.header_hash);
  file_.Overwrite(0, &header_, sizeof header_);
  file_.Commit();
}

Shard Shard::Open(const fs::path& path, std::string_view tokenizer_hash) {
  Shard shard(path, MappedFile(path));
  shard.CheckHeader(tokenizer_hash);
  shard.CheckContents();
  return shard;
}

void Shard::CheckHeader(std::string_view tokenizer_hash) {
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < sizeof kMagic || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    ThrowBadInput("{}: no token shard (its first bytes are others); {}", path_.string(), kRemedy);
  }
  if (bytes.size() < sizeof header_) {
    ThrowBadInput("{}: cut short: {} bytes, less than a shard's header; {}", path_.string(), bytes.size(), kRemedy);
  }
  std::memcpy(&header_, bytes.data(), sizeof header_);
  if (header_.version != kVersion) {
    ThrowBadInput("{}: a shard of version {}, and this program reads version {}; {}", path_.string(), header_.version,
                  kVersion, kRemedy);
  }
  if (TextField(header_.header_hash) != HeaderHash(header_)) {
    ThrowBadInput("{}: the header is damaged: its SHA-256 does not match; {}", path_.string(), kRemedy);
  }
  // The digest shows that the header is as written; these guard the arithmetic below against a writer of ill will.
  const uint64_t most = bytes.size();
  if ((header_.bytes_per_token != 2 && header_.bytes_per_token != 4) || header_.vocab_size == 0 ||
      header_.vocab_size > (uint64_t{1} << 31) || header_.documents > header_.tokens) {
    ThrowBadInput("{}: the header contradicts itself; {}", path_.string(), kRemedy);
  }
  const uint64_t id_bytes = header_.tokens > most ? most : header_.tokens * header_.bytes_per_token;
  const uint64_t start_bytes = header_.documents > most ? most : header_.documents * sizeof(uint64_t);
  const uint64_t expected = sizeof header_ + id_bytes + Padding(id_bytes) + start_bytes;
  if (header_.tokens > most || header_.documents > most || bytes.size() != expected) {
    ThrowBadInput("{}: {} bytes where the header promises {} tokens in {} documents; the file was {}; {}",
                  path_.string(), bytes.size(), header_.tokens, header_.documents,
                  bytes.size() > expected ? "appended to" : "cut short", kRemedy);
  }
  if (TextField(header_.tokenizer_hash) != tokenizer_hash) {
    ThrowBadInput(
        "{}: made with another tokenizer: the shard's has the hash {}, this model's {}; {} with this model's "
        "tokenizer, or use the model that belongs to the shard",
        path_.string(), TextField(header_.tokenizer_hash), tokenizer_hash, kRemedy);
  }
  ids_ = bytes.data() + sizeof header_;
  const std::byte* starts = ids_ + id_bytes + Padding(id_bytes);
  document_starts_ = {reinterpret_cast<const uint64_t*>(starts), header_.documents};
}

void Shard::CheckContents() {
  if (Sha256(file_.bytes().subspan(sizeof header_)) != TextField(header_.data_hash)) {
    ThrowBadInput("{}: damaged: the SHA-256 of its contents does not match the header; {}", path_.string(), kRemedy);
  }
  for (int64_t i = 0; i < tokens(); ++i) {
    if (static_cast<uint32_t>(token(i)) >= header_.vocab_size) {
      ThrowBadInput("{}: token {} has id {}, outside the vocabulary of {}; {}", path_.string(), i,
                    static_cast<uint32_t>(token(i)), header_.vocab_size, kRemedy);
    }
  }
  for (size_t i = 0; i < document_starts_.size(); ++i) {
    const bool ascending = i == 0 ? document_starts_[0] == 0 : document_starts_[i] > document_starts_[i - 1];
    if (!ascending || document_starts_[i] >= header_.tokens) {
      ThrowBadInput("{}: document {} starts at token {}, out of order; {}", path_.string(), i, document_starts_[i],
                    kRemedy);
    }
  }
}

int32_t Shard::token(int64_t i) const {
  if (header_.bytes_per_token == 2) {
    uint16_t id;
    std::memcpy(&id, ids_ + 2 * i, sizeof id);
    return id;
  }
  int32_t id;
  std::memcpy(&id, ids_ + 4 * i, sizeof id);
  return id;
}

void Shard::Read(int64_t begin, std::span<int32_t> ids) const {
  CHECK_GE(begin, 0);
  CHECK_LE(begin + static_cast<int64_t>(ids.size()), tokens());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = token(begin + static_cast<int64_t>(i));
}

PreparedShards PrepareShards(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer, const fs::path& out_path,
                             const SplitOptions& options) {
  if (tokenizer.eos_id() < 0) {
    ThrowBadInput(
        "the tokenizer names no end-of-sentence token to close documents with; give it an eos_token in "
        "tokenizer_config.json");
  }
  const bool hold_out = options.held_out_fraction > 0.0;

  PreparedShards result{.train = out_path, .held_out = {}};
  ShardWriter train(out_path, tokenizer.vocab_size(), tokenizer.hash());
  std::optional<ShardWriter> held_out;
  if (hold_out) {
    result.held_out = HeldOutPath(out_path);
    held_out.emplace(*result.held_out, tokenizer.vocab_size(), tokenizer.hash());
  }
  ForEachPart(inputs, options, [&](const TextPart& part) {
    std::vector<int32_t> ids = tokenizer.Encode(part.text);
    if (part.ends) ids.push_back(tokenizer.eos_id());
    (part.held_out ? *held_out : train).AddDocument(ids, part.text);
  });
  // The training shard last: where it is, the held-out one is too.
  if (hold_out) held_out->Finish();
  train.Finish();
  result.train_tokens = train.tokens();
  result.held_out_tokens = hold_out ? held_out->tokens() : 0;
  return result;
}

}  // namespace sputnik
