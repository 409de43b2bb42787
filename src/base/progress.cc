#include "base/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/clock.h"

namespace sputnik {
namespace {

constexpr double kRedrawSeconds = 0.1;

int TerminalColumns(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// A line that nobody can be shown is no reason to stop the task, so errors are ignored.
void WriteQuietly(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

std::string Duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::fmin(std::ceil(seconds), 359999));  // 99:59:59
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest) : fmt::format("{}:{:02}", minutes, rest);
}

}  // namespace

ProgressStyle StderrProgressStyle() {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string_view(text == nullptr ? "" : text);
  };
  ProgressStyle style;
  style.fd = STDERR_FILENO;
  style.terminal = ::isatty(style.fd) == 1 && value("TERM") != "dumb";
  style.color = style.terminal && value("NO_COLOR").empty();
  return style;
}

std::string ProgressText(int64_t step, int64_t total, std::string_view text, double seconds_left) {
  std::string line = total > 0 ? fmt::format("{}/{}  {}%", step, total, 100 * step / total) : fmt::format("{}", step);
  if (!text.empty()) line += fmt::format("  {}", text);
  if (seconds_left >= 0) line += fmt::format("  {} left", Duration(seconds_left));
  return line;
}

std::string_view CutToColumns(std::string_view text, int columns) {
  size_t end = 0;
  for (int count = 0; end < text.size(); ++end) {
    const bool continues = (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80;
    if (!continues && count++ == columns) break;
  }
  return text.substr(0, end);
}

Progress::Progress(std::string label, int64_t total, int64_t first_step, const ProgressStyle& style)
    : label_(std::move(label)),
      total_(total),
      first_step_(first_step),
      step_(first_step),
      style_(style),
      started_(WallSeconds()),
      next_(started_),
      deadline_(std::numeric_limits<double>::infinity()) {}

Progress::~Progress() { Finish(); }

void Progress::EndsWithin(double seconds) { deadline_ = WallSeconds() + seconds; }

void Progress::Update(int64_t step, std::string_view text) {
  step_ = step;
  text_ = text;
  pending_ = true;
  const double now = WallSeconds();
  if (now >= next_) Show(now);
}

void Progress::Finish() {
  if (pending_) Show(WallSeconds());
  if (open_) WriteQuietly(style_.fd, "\n");
  open_ = false;
}

void Progress::Show(double now) {
  const int64_t done = step_ - first_step_;
  double left = std::max(0.0, deadline_ - now);
  if (total_ > 0 && done > 0) {
    left = std::min(left, (now - started_) / static_cast<double>(done) * static_cast<double>(total_ - step_));
  }
  if (std::isinf(left)) left = -1;  // nothing is known
  const std::string line = label_ + "  " + ProgressText(step_, total_, text_, left);
  if (style_.terminal) {
    // One column stays free: a cursor behind the last one would wrap on some terminals.
    const int columns = style_.columns > 0 ? style_.columns : TerminalColumns(style_.fd);
    const std::string_view shown = CutToColumns(line, columns - 1);
    const std::string_view label = shown.substr(0, label_.size()), rest = shown.substr(label.size());
    const std::string_view bold = style_.color ? "\x1b[1m" : "", plain = style_.color ? "\x1b[0m" : "";
    WriteQuietly(style_.fd, fmt::format("\r{}{}{}{}\x1b[K", bold, label, plain, rest));
    open_ = true;
  } else {
    WriteQuietly(style_.fd, line + "\n");
  }
  next_ = now + (style_.terminal ? kRedrawSeconds : style_.interval);
  pending_ = false;
}

}  // namespace sputnik
