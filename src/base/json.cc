#include "base/json.h"

#include "base/error.h"
#include "base/file.h"

namespace sputnik {

Json ParseJson(std::string_view text, std::string_view source) {
  try {
    constexpr int kMaxDepth = 128;
    const Json::parser_callback_t limit_depth = [&](int depth, Json::parse_event_t event, Json&) {
      const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
      if (opens && depth >= kMaxDepth) ThrowBadInput("{}: JSON is nested deeper than {} levels", source, kMaxDepth);
      return true;
    };
    return Json::parse(text.begin(), text.end(), limit_depth);
  } catch (const Json::exception& e) {
    // The parser's text quotes the whole offending token, which may be the rest of the file.
    constexpr size_t kLongest = 240;
    std::string_view reason = e.what();
    if (const size_t tag = reason.find("] "); tag != reason.npos) reason.remove_prefix(tag + 2);
    const bool cut = reason.size() > kLongest;
    ThrowBadInput("{}: not valid JSON: {}{}", source, reason.substr(0, kLongest), cut ? "…" : "");
  }
}

Json ReadJsonFile(const std::filesystem::path& path) { return ParseJson(ReadFile(path), path.string()); }

}  // namespace sputnik
