#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace sputnik {
namespace {

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    const char* no_color = std::getenv("NO_COLOR");
    const bool plain = no_color != nullptr && *no_color != 0;
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(plain ? spdlog::color_mode::never
                                                                            : spdlog::color_mode::automatic);
    auto made = std::make_shared<spdlog::logger>("sputnik", sink);
    // On a terminal a line first clears what a progress line (base/progress.h) may have left under the cursor.
    const std::string clear = ::isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "";
    made->set_pattern(clear + "%^%H:%M:%S %L%$ %v");
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void SetLogLevel(LogLevel lowest) { Logger().set_level(ToSpdlog(lowest)); }
void LogLine(LogLevel level, std::string_view text) { Logger().log(ToSpdlog(level), text); }

}  // namespace sputnik
