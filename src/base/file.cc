#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/error.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::string Reason() { return std::strerror(errno); }

// Closes on leaving the scope unless released: constructors that throw have no destructor to do it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

void WriteAll(int fd, const char* data, size_t bytes, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const bool full = errno == ENOSPC || errno == EDQUOT;
      ThrowFailure("{}: cannot write: {}{}", path.string(), Reason(),
                   full ? "; free some space and start again with --resume" : "");
    }
    data += written;
    bytes -= static_cast<size_t>(written);
  }
}

// The length of the whole lines among the first `bytes` of a file: what a crash left of an unfinished one is not
// counted.
int64_t BytesOfWholeLines(int fd, int64_t bytes, const fs::path& path) {
  char block[4096];
  while (bytes > 0) {
    const int64_t length = std::min<int64_t>(bytes, sizeof block);
    const ssize_t got = ::pread(fd, block, static_cast<size_t>(length), bytes - length);
    if (got != length) ThrowFailure("{}: cannot read: {}", path.string(), got < 0 ? Reason() : "it was cut short");
    for (int64_t i = length; i > 0; --i) {
      if (block[i - 1] == '\n') return bytes - length + i;
    }
    bytes -= length;
  }
  return 0;
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
  CHECK_GE(fd_, 0);
  if (buffer_.size() + bytes >= kBuffer) {
    WriteAll(fd_, buffer_.data(), buffer_.size(), temporary_);
    buffer_.clear();
  }
  // A tensor of gigabytes goes straight through; only small pieces are gathered.
  if (bytes >= kBuffer) {
    WriteAll(fd_, static_cast<const char*>(data), bytes, temporary_);
  } else {
    buffer_.append(static_cast<const char*>(data), bytes);
  }
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
  Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file.ok()) ThrowFailure("{}: cannot open for appending: {}", path_.string(), Reason());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) ThrowFailure("{}: cannot stat: {}", path_.string(), Reason());
  if (S_ISREG(status.st_mode)) {
    const int64_t kept = keep_bytes < 0 ? status.st_size : std::min<int64_t>(keep_bytes, status.st_size);
    bytes_ = BytesOfWholeLines(file.get(), kept, path_);
    if (bytes_ < status.st_size && ::ftruncate(file.get(), bytes_) != 0) {
      ThrowFailure("{}: cannot truncate: {}", path_.string(), Reason());
    }
  }
  if (bytes_ == 0) SyncDirectory(path_.parent_path());  // its name may be new
  fd_ = file.Release();
}

LineAppender::~LineAppender() {
  if (fd_ >= 0) ::close(fd_);
}

void LineAppender::Append(std::string_view line) {
  std::string text(line);
  text += '\n';
  try {
    WriteAll(fd_, text.data(), text.size(), path_);
  } catch (const Error&) {
    // Half a line would spoil the next one. If cutting it off fails too, the next opening does it.
    [[maybe_unused]] const int result = ::ftruncate(fd_, bytes_);
    throw;
  }
  bytes_ += static_cast<int64_t>(text.size());
}

void LineAppender::Sync() {
  if (::fsync(fd_) != 0) ThrowFailure("{}: cannot sync: {}", path_.string(), Reason());
}

MappedFile::MappedFile(const fs::path& path) {
  // Not blocking, or opening a named pipe would wait for its writer before it can be refused.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) ThrowBadInput("{}: cannot open: {}", path.string(), Reason());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    ThrowBadInput("{}: not a regular file{}", path.string(), S_ISDIR(status.st_mode) ? " but a folder" : "");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) ThrowFailure("{}: cannot map into memory: {}", path.string(), Reason());
    bytes_ = {static_cast<const std::byte*>(data), size};
  }
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

void CreateFolders(const fs::path& path) {
  std::error_code error;
  std::vector<fs::path> parents;  // of what is not there yet
  for (fs::path at = path.has_filename() ? path : path.parent_path(); !at.empty() && !fs::exists(at, error);) {
    at = at.parent_path();
    parents.push_back(at);
  }
  fs::create_directories(path, error);
  if (error) ThrowFailure("{}: cannot create the folder: {}", path.string(), error.message());
  for (const fs::path& parent : parents) SyncDirectory(parent);
}

void SyncDirectory(const fs::path& directory) {
  const fs::path& name = directory.empty() ? fs::path(".") : directory;
  const Descriptor file(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.ok()) ThrowFailure("{}: cannot open the directory: {}", name.string(), Reason());
  // Some network file systems cannot sync a directory and say so with EINVAL; their renames are durable by themselves.
  if (::fsync(file.get()) != 0 && errno != EINVAL) {
    ThrowFailure("{}: cannot sync the directory: {}", name.string(), Reason());
  }
}

void SyncFile(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) ThrowFailure("{}: cannot open: {}", path.string(), Reason());
  if (::fsync(file.get()) != 0) ThrowFailure("{}: cannot sync: {}", path.string(), Reason());
}

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file.ok()) ThrowFailure("{}: cannot create: {}", path.string(), Reason());
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) ThrowFailure("{}: cannot lock: {}", path.string(), Reason());
    char holder[32] = {};
    const ssize_t length = ::read(file.get(), holder, sizeof holder - 1);
    ThrowUsage("{}: another run (process {}) is writing to this folder; wait for it, or give another one with --out",
               folder.string(), length > 0 ? holder : "unknown");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(file.get(), 0) != 0) ThrowFailure("{}: cannot truncate: {}", path.string(), Reason());
  WriteAll(file.get(), pid.data(), pid.size(), path);
  fd_ = file.Release();
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sputnik
