// Files: whole-file reads, read-only memory maps, and writes that are either complete or absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace sputnik {

// Reads a whole regular file. Throws Error (bad input) naming the path.
std::string ReadFile(const std::filesystem::path& path);

// Writes to a temporary name, syncs, renames over `path`, syncs the directory. On any failure the temporary file is
// removed, the old file is untouched, and Error is thrown.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view contents);

// A file being written front to back, for data too large to hold. Not visible under its name until Commit().
class AtomicFileWriter {
 public:
  explicit AtomicFileWriter(std::filesystem::path path);
  ~AtomicFileWriter();  // without Commit(): removes the temporary file
  AtomicFileWriter(const AtomicFileWriter&) = delete;
  AtomicFileWriter& operator=(const AtomicFileWriter&) = delete;

  void Write(const void* data, size_t bytes);
  // Replaces bytes already written, such as a header whose counts are known last.
  void Overwrite(int64_t offset, const void* data, size_t bytes);
  void Commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  std::string buffer_;
};

// Appends lines to a log that survives a crash up to the last whole line: half a line, left by a crash or a full disk,
// is cut off. Sync() makes what was written durable.
class LineAppender {
 public:
  // Opens for appending; `keep_bytes` first truncates the file to that length (a resumed run drops later lines). A
  // shorter file stays as it is: bytes() says how much is there.
  explicit LineAppender(std::filesystem::path path, int64_t keep_bytes = -1);
  ~LineAppender();
  LineAppender(const LineAppender&) = delete;
  LineAppender& operator=(const LineAppender&) = delete;

  void Append(std::string_view line);  // adds the newline
  void Sync();
  int64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  int64_t bytes_ = 0;
};

// A read-only memory map of a whole file; an empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

// Like std::filesystem::create_directories, and the new entries are durable. Error naming the path.
void CreateFolders(const std::filesystem::path& path);

// Makes a renamed or created entry of `directory` durable.
void SyncDirectory(const std::filesystem::path& directory);
void SyncFile(const std::filesystem::path& path);

// A folder held by one process at a time, by an advisory lock on FOLDER/.lock. Throws Error naming the holder.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

// SHA-256 (FIPS 180-4) as lower-case hexadecimal.
std::string Sha256(std::span<const std::byte> bytes);

// The same over bytes that arrive in pieces. Finish() once, last.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void Update(std::span<const std::byte> bytes);
  std::string Finish();

 private:
  void* context_;  // OpenSSL's, which no header of ours shows
};

}  // namespace sputnik
