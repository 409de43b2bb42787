#include "app/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/jsonl.h"
#include "base/stop_signal.h"

namespace sputnik {

LineReader::LineReader(const std::string& path) : name_(path) {
  if (path.empty() || path == "-") {
    name_ = "standard input";
    fd_ = STDIN_FILENO;
    return;
  }
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) ThrowBadInput("{}: cannot open: {}", path, std::strerror(errno));
}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) ::close(fd_);
}

std::string LineReader::source() const { return fmt::format("{}:{}", name_, line_); }

LineReader::Filled LineReader::Fill() {
  if (at_end_) return Filled::kEnd;
  for (;;) {
    // A signal between the look at the flag and the wait would be missed, so the wait is never long.
    constexpr int kMilliseconds = 200;
    if (StopRequested()) return Filled::kStopped;
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, kMilliseconds);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char bytes[1 << 16];
    const ssize_t count = ::read(fd_, bytes, sizeof bytes);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) ThrowBadInput("{}: cannot read: {}", name_, std::strerror(errno));
    at_end_ = count == 0;
    buffer_.append(bytes, static_cast<size_t>(count));
    return at_end_ ? Filled::kEnd : Filled::kMore;
  }
}

LineReader::Result LineReader::Next(std::string* line) {
  size_t searched = next_;
  for (;;) {
    const size_t end = buffer_.find('\n', searched);
    if (end != buffer_.npos) {
      line->assign(buffer_, next_, end - next_);
      next_ = end + 1;
      ++line_;
      return Result::kLine;
    }
    searched = buffer_.size();
    if (searched - next_ > kMaxLineBytes) {
      ThrowBadInput("{}:{}: the line has more than {} bytes", name_, line_ + 1, kMaxLineBytes);
    }
    if (next_ > 0) {
      buffer_.erase(0, next_);
      searched -= next_;
      next_ = 0;
    }
    switch (Fill()) {
      case Filled::kMore: break;
      case Filled::kStopped: return Result::kStopped;
      case Filled::kEnd:
        if (buffer_.empty()) return Result::kEnd;
        *line = std::move(buffer_);
        buffer_.clear();
        ++line_;
        return Result::kLine;
    }
  }
}

std::string ReadAllOf(const std::string& path) {
  LineReader reader(path);
  std::string text, line;
  bool first = true;
  while (reader.Next(&line) == LineReader::Result::kLine) {
    if (!first) text += '\n';
    text += line;
    first = false;
  }
  return text;
}

}  // namespace sputnik
