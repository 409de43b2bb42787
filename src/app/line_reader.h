// Lines of a file or of standard input, one at a time and as soon as they are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sputnik {

class LineReader {
 public:
  // An empty name and "-" mean standard input. Throws Error (bad input) when the file cannot be opened.
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class Result { kLine, kEnd, kStopped };

  // The next line without its line feed; the last one may lack it. kStopped: a signal asked to stop (base/stop_signal)
  // while waiting. Throws Error (bad input) for a line over 64 MiB.
  Result Next(std::string* line);

  std::string source() const;  // "FILE:LINE" of the line given last
  const std::string& name() const { return name_; }
  int64_t line() const { return line_; }  // counted from 1

 private:
  enum class Filled { kMore, kEnd, kStopped };
  Filled Fill();

  std::string name_, buffer_;
  size_t next_ = 0;  // in buffer_: where the next line starts
  int64_t line_ = 0;
  int fd_ = 0;
  bool at_end_ = false;
};

// All that is left of a file or of standard input ("-").
std::string ReadAllOf(const std::string& path);

}  // namespace sputnik
