#include "base/jsonl.h"

#include "base/error.h"
#include "base/file.h"

namespace sputnik {
namespace {

std::string Place(const std::filesystem::path& path, int64_t line) { return fmt::format("{}:{}", path.string(), line); }

}  // namespace

void ForEachJsonLine(const std::filesystem::path& path, std::string_view expected,
                     FunctionRef<void(const Json& object, int64_t line)> fn, size_t max_line_bytes) {
  const MappedFile file(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t end = rest.find('\n');
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (text.size() > max_line_bytes) {
      ThrowBadInput(
          "{}: the line has {} bytes, more than the {} allowed; write one object per line, and split documents "
          "that long",
          Place(path, line), text.size(), max_line_bytes);
    }
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Json object;
    try {
      object = ParseJson(text, Place(path, line));
    } catch (const Error& error) {
      ThrowBadInput("{}; expected one object per line, such as {}", error.what(), expected);
    }
    if (!object.is_object()) {
      ThrowBadInput("{}: found JSON of type {}; expected one object per line, such as {}", Place(path, line),
                    object.type_name(), expected);
    }
    fn(object, line);
  }
}

std::string JsonLineString(const Json& object, std::string_view key, const std::filesystem::path& path, int64_t line,
                           std::string_view expected) {
  const auto found = object.find(std::string(key));
  if (found == object.end()) {
    ThrowBadInput("{}: no \"{}\"; expected an object such as {}", Place(path, line), key, expected);
  }
  if (!found->is_string()) {
    ThrowBadInput("{}: \"{}\" has type {} and must be a string; expected an object such as {}", Place(path, line), key,
                  found->type_name(), expected);
  }
  return found->get<std::string>();
}

}  // namespace sputnik
