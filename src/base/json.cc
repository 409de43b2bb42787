#include "base/json.h"

#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace sputnik {
namespace {

// The names of the objects that are open while a text is parsed.
class UniqueNames {
 public:
  void Look(Json::parse_event_t event, const Json& value, std::string_view source) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event != Json::parse_event_t::key) return;
    const auto& name = value.get_ref<const std::string&>();
    if (!open_.back().insert(name).second) {
      ThrowBadInput("{}: `{}` stands twice in one object", source, name.substr(0, 240));
    }
  }

 private:
  std::vector<std::unordered_set<std::string>> open_;
};

Json Parse(std::string_view text, std::string_view source, bool unique) {
  UniqueNames names;
  try {
    constexpr int kMaxDepth = 128;
    const Json::parser_callback_t look = [&](int depth, Json::parse_event_t event, Json& value) {
      const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
      if (opens && depth >= kMaxDepth) ThrowBadInput("{}: JSON is nested deeper than {} levels", source, kMaxDepth);
      if (unique) names.Look(event, value, source);
      return true;
    };
    return Json::parse(text.begin(), text.end(), look);
  } catch (const Json::exception& e) {
    // The parser's text quotes the whole offending token, which may be the rest of the file.
    constexpr size_t kLongest = 240;
    std::string_view reason = e.what();
    if (const size_t tag = reason.find("] "); tag != reason.npos) reason.remove_prefix(tag + 2);
    const bool cut = reason.size() > kLongest;
    ThrowBadInput("{}: not valid JSON: {}{}", source, reason.substr(0, kLongest), cut ? "…" : "");
  }
}

}  // namespace

Json ParseJson(std::string_view text, std::string_view source) { return Parse(text, source, false); }

Json ReadJsonFile(const std::filesystem::path& path) { return ParseJson(ReadFile(path), path.string()); }

Json ReadStrictJsonFile(const std::filesystem::path& path, uint64_t most_bytes) {
  const MappedFile file(path);
  if (file.bytes().size() > most_bytes) {
    ThrowBadInput("{}: {} bytes are more than such a file needs (at most {})", path.string(), file.bytes().size(),
                  most_bytes);
  }
  return Parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path.string(), true);
}

}  // namespace sputnik
