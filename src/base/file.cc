#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::string Reason() { return std::strerror(errno); }

void WriteAll(int fd, const char* data, size_t bytes, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      ThrowFailure("{}: cannot write: {}{}", path.string(), Reason(),
                   errno == ENOSPC ? "; free some space and start again with --resume" : "");
    }
    data += written;
    bytes -= static_cast<size_t>(written);
  }
}

}  // namespace

std::string ReadFile(const fs::path& path) {
  const MappedFile file(path);
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

void WriteFileAtomically(const fs::path& path, std::string_view contents) {
  AtomicFileWriter writer(path);
  writer.Write(contents.data(), contents.size());
  writer.Commit();
}

AtomicFileWriter::AtomicFileWriter(fs::path path) : path_(std::move(path)) {
  temporary_ = path_;
  temporary_ += ".tmp";
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) ThrowFailure("{}: cannot create: {}", temporary_.string(), Reason());
}

AtomicFileWriter::~AtomicFileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFileWriter::Write(const void* data, size_t bytes) {
  constexpr size_t kBuffer = size_t{1} << 20;
  buffer_.append(static_cast<const char*>(data), bytes);
  if (buffer_.size() < kBuffer) return;
  WriteAll(fd_, buffer_.data(), buffer_.size(), temporary_);
  buffer_.clear();
}

void AtomicFileWriter::Overwrite(int64_t offset, const void* data, size_t bytes) {
  WriteAll(fd_, buffer_.data(), buffer_.size(), temporary_);
  buffer_.clear();
  const off_t end = ::lseek(fd_, 0, SEEK_CUR);
  CHECK_LE(offset + static_cast<int64_t>(bytes), static_cast<int64_t>(end));
  if (::lseek(fd_, offset, SEEK_SET) < 0) ThrowFailure("{}: cannot seek: {}", temporary_.string(), Reason());
  WriteAll(fd_, static_cast<const char*>(data), bytes, temporary_);
  if (::lseek(fd_, end, SEEK_SET) < 0) ThrowFailure("{}: cannot seek: {}", temporary_.string(), Reason());
}

void AtomicFileWriter::Commit() {
  CHECK_GE(fd_, 0);
  WriteAll(fd_, buffer_.data(), buffer_.size(), temporary_);
  buffer_.clear();
  if (::fsync(fd_) != 0) ThrowFailure("{}: cannot sync: {}", temporary_.string(), Reason());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    ThrowFailure("{}: cannot rename into place: {}", path_.string(), Reason());
  }
  ::close(fd_);
  fd_ = -1;
  SyncDirectory(path_.parent_path());
}

LineAppender::LineAppender(fs::path path, int64_t keep_bytes) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) ThrowFailure("{}: cannot open for appending: {}", path_.string(), Reason());
  struct stat status {};
  if (::fstat(fd_, &status) != 0) ThrowFailure("{}: cannot stat: {}", path_.string(), Reason());
  bytes_ = status.st_size;
  if (keep_bytes >= 0 && keep_bytes < bytes_) {
    if (::ftruncate(fd_, keep_bytes) != 0) ThrowFailure("{}: cannot truncate: {}", path_.string(), Reason());
    bytes_ = keep_bytes;
  }
}

LineAppender::~LineAppender() {
  if (fd_ >= 0) ::close(fd_);
}

void LineAppender::Append(std::string_view line) {
  std::string text(line);
  text += '\n';
  WriteAll(fd_, text.data(), text.size(), path_);
  bytes_ += static_cast<int64_t>(text.size());
}

void LineAppender::Sync() {
  if (::fsync(fd_) != 0) ThrowFailure("{}: cannot sync: {}", path_.string(), Reason());
}

MappedFile::MappedFile(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) ThrowBadInput("{}: cannot open: {}", path.string(), Reason());
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    ThrowBadInput("{}: not a regular file", path.string());
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const std::string reason = Reason();
      ::close(fd);
      ThrowFailure("{}: cannot map into memory: {}", path.string(), reason);
    }
    bytes_ = {static_cast<const std::byte*>(data), size};
  }
  ::close(fd);
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

void SyncDirectory(const fs::path& directory) {
  const fs::path& name = directory.empty() ? fs::path(".") : directory;
  const int fd = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) ThrowFailure("{}: cannot open the directory: {}", name.string(), Reason());
  const bool synced = ::fsync(fd) == 0;
  const std::string reason = synced ? "" : Reason();
  ::close(fd);
  if (!synced) ThrowFailure("{}: cannot sync the directory: {}", name.string(), reason);
}

void SyncFile(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) ThrowFailure("{}: cannot open: {}", path.string(), Reason());
  const bool synced = ::fsync(fd) == 0;
  const std::string reason = synced ? "" : Reason();
  ::close(fd);
  if (!synced) ThrowFailure("{}: cannot sync: {}", path.string(), reason);
}

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) ThrowFailure("{}: cannot create: {}", path.string(), Reason());
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const ssize_t length = ::read(fd_, holder, sizeof holder - 1);
    ::close(fd_);
    ThrowUsage("{}: another run (process {}) is writing to this folder; wait for it, or give another one with --out",
               folder.string(), length > 0 ? holder : "unknown");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::write(fd_, pid.data(), pid.size()) < 0) {
    ThrowFailure("{}: cannot write: {}", path.string(), Reason());
  }
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sputnik
