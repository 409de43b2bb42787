// Tokenised text in one file that is mapped into memory, so that a corpus larger than memory can be learnt from.
// Layout, little-endian: a header of 256 bytes (ShardHeader); the ids of all documents, one document after another, as
// uint16 where the vocabulary has at most 65,536 entries and as uint32 otherwise; zeros up to a multiple of 8; the
// place of each document's first token as uint64. The header holds SHA-256 digests of itself and of all that follows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "data/text_split.h"
#include "text/tokenizer.h"

namespace sputnik {

struct ShardHeader {
  char magic[8];             // "sputshrd"
  uint32_t version;          // 1
  uint32_t bytes_per_token;  // 2 or 4
  uint64_t vocab_size;
  uint64_t tokens;
  uint64_t documents;
  uint64_t text_bytes;       // of the documents before they were tokenised
  uint64_t text_characters;  // Unicode code points, for losses per character
  char tokenizer_hash[64];   // padded with zeros
  char data_hash[64];        // SHA-256 of all bytes after the header, hexadecimal
  char header_hash[64];      // SHA-256 of all bytes above this field
  char reserved[8];          // zeros
};
static_assert(sizeof(ShardHeader) == 256);

// Writes a shard front to back; nothing is visible under its name until Finish().
class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& path, int64_t vocab_size, std::string_view tokenizer_hash);

  // Adds a document, or a part of one: the text is counted, the ids are stored as they are. Empty ids add nothing.
  void AddDocument(std::span<const int32_t> ids, std::string_view text);
  void Finish();

  int64_t tokens() const { return static_cast<int64_t>(header_.tokens); }
  int64_t documents() const { return static_cast<int64_t>(header_.documents); }

 private:
  void Append(const void* data, size_t bytes);

  AtomicFileWriter file_;
  Sha256Stream hash_;
  ShardHeader header_{};
  std::vector<uint64_t> document_starts_;
  std::vector<std::byte> buffer_;
};

// A shard open for reading; safe to read from several threads.
class Shard {
 public:
  // Maps a shard and checks all of it. Errors (bad input) name the file and what to do: no shard, another version, cut
  // short, made with another tokenizer than `tokenizer_hash` (both are named), damaged, ids outside the vocabulary.
  static Shard Open(const std::filesystem::path& path, std::string_view tokenizer_hash);

  int64_t tokens() const { return static_cast<int64_t>(header_.tokens); }
  int64_t documents() const { return static_cast<int64_t>(header_.documents); }
  int64_t vocab_size() const { return static_cast<int64_t>(header_.vocab_size); }
  int64_t text_bytes() const { return static_cast<int64_t>(header_.text_bytes); }
  int64_t text_characters() const { return static_cast<int64_t>(header_.text_characters); }
  std::string hash() const { return std::string(header_.data_hash, sizeof header_.data_hash); }
  const std::filesystem::path& path() const { return path_; }

  int32_t token(int64_t i) const;                                                 // 0 <= i < tokens()
  void Read(int64_t begin, std::span<int32_t> ids) const;                         // ids.size() tokens from `begin` on
  std::span<const uint64_t> document_starts() const { return document_starts_; }  // ascending, [0] is 0

 private:
  Shard(const std::filesystem::path& path, MappedFile file) : path_(path), file_(std::move(file)) {}
  void CheckHeader(std::string_view tokenizer_hash);
  void CheckContents();

  std::filesystem::path path_;
  MappedFile file_;
  ShardHeader header_{};
  const std::byte* ids_ = nullptr;
  std::span<const uint64_t> document_starts_;
};

struct PreparedShards {
  std::filesystem::path train;
  std::optional<std::filesystem::path> held_out;  // NAME.held_out.EXT beside train's NAME.EXT
  int64_t train_tokens = 0;
  int64_t held_out_tokens = 0;
};

// Tokenises the documents of `inputs` into `out_path`. No token opens a document; the tokenizer's end-of-sentence token
// closes each, as DeepSeek's chat format closes each answer. The part that ForEachPart holds out goes into a shard of
// its own. Errors: those of ForEachPart.
PreparedShards PrepareShards(const std::vector<std::filesystem::path>& inputs, const Tokenizer& tokenizer,
                             const std::filesystem::path& out_path, const SplitOptions& options);

}  // namespace sputnik
