#include "app/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

[[noreturn]] void ThrowWriteError() {
  const int reason = errno;
  std::clearerr(stdout);
  if (reason == EPIPE) throw OutputClosed();
  ThrowFailure("cannot write to standard output: {}", std::strerror(reason));
}

}  // namespace

void Print(std::string_view text) {
  if (!text.empty() && std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) ThrowWriteError();
}

void FlushOutput() {
  if (std::fflush(stdout) != 0) ThrowWriteError();
}

bool OutputIsTerminal() { return ::isatty(STDOUT_FILENO) == 1; }

bool OutputHasColor() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool refused = no_color != nullptr && *no_color != 0;
  return OutputIsTerminal() && !refused && (term == nullptr || std::string_view(term) != "dumb");
}

std::string PlainText(std::string_view text) {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::string plain;
  plain.reserve(valid.size());
  for (std::string_view rest = valid; !rest.empty();) {
    const Utf8Char c = DecodeUtf8(rest);
    const bool control = c.code_point < 0x20 || (c.code_point >= 0x7f && c.code_point < 0xa0);
    if (!control || c.code_point == '\n' || c.code_point == '\t')
      plain += rest.substr(0, static_cast<size_t>(c.length));
    rest.remove_prefix(static_cast<size_t>(c.length));
  }
  return plain;
}

}  // namespace sputnik
