#include "base/json.h"

#include "base/error.h"
#include "base/file.h"

namespace sputnik {

Json ParseJson(std::string_view text, std::string_view source) {
  try {
    constexpr int kMaxDepth = 128;
    const Json::parser_callback_t limit_depth = [&](int depth, Json::parse_event_t, Json&) {
      if (depth > kMaxDepth) ThrowBadInput("{}: JSON is nested deeper than {} levels", source, kMaxDepth);
      return true;
    };
    return Json::parse(text.begin(), text.end(), limit_depth);
  } catch (const Json::exception& e) {
    ThrowBadInput("{}: not valid JSON: {}", source, e.what());
  }
}

Json ReadJsonFile(const std::filesystem::path& path) { return ParseJson(ReadFile(path), path.string()); }

}  // namespace sputnik
