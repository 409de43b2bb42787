#include "data/source.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/jsonl.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTextLine = R"({"text": "..."})";
constexpr std::string_view kMessagesLine =
    R"({"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]})";

bool IsTextName(const fs::path& path) {
  const std::string extension = path.extension().string();
  return !path.filename().string().starts_with('.') &&
         (extension.empty() || extension == ".txt" || extension == ".jsonl");
}

std::vector<fs::path> ListFolder(const fs::path& folder) {
  std::vector<fs::path> files, links;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);  // does not follow links to folders, so it cannot loop
  if (error) ThrowBadInput("{}: cannot list the folder: {}", folder.string(), error.message());
  for (; entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->is_directory(error) && entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file(error) && IsTextName(entry->path())) {
      (entry->is_symlink(error) ? links : files).push_back(entry->path());
    }
  }
  if (error) ThrowBadInput("{}: cannot list the folder: {}", folder.string(), error.message());

  std::sort(links.begin(), links.end());
  std::set<fs::path> seen;
  for (const fs::path& file : files) seen.insert(fs::canonical(file, error));
  for (const fs::path& link : links) {
    if (seen.insert(fs::canonical(link, error)).second) files.push_back(link);
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    ThrowBadInput(
        "{}: the folder has no text: no file ends in .txt or .jsonl or has no extension; name files of another "
        "kind one by one",
        folder.string());
  }
  return files;
}

std::string_view Contents(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void CheckIsText(std::string_view text, const fs::path& path) {
  if (text.empty()) return;
  if (const void* zero = std::memchr(text.data(), 0, text.size())) {
    ThrowBadInput(
        "{}: a binary file (zero byte at offset {}); give text in UTF-8 (text in UTF-16 can be converted with: "
        "iconv -f UTF-16 -t UTF-8)",
        path.string(), static_cast<const char*>(zero) - text.data());
  }
  if (const size_t valid = ValidUtf8Bytes(text); valid < text.size()) {
    ThrowBadInput(
        "{}: not UTF-8: byte 0x{:02x} at offset {}; convert the file, for example with: iconv -f LATIN1 -t "
        "UTF-8",
        path.string(), static_cast<unsigned char>(text[valid]), valid);
  }
}

void CheckLineLengths(std::string_view text, const fs::path& path, int64_t limit) {
  int64_t line = 1;
  for (size_t begin = 0; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (static_cast<int64_t>(end - begin) > limit) {
      ThrowBadInput(
          "{}:{}: the line has {} bytes, more than the {} allowed; is this text? Break the line, or split the "
          "file into documents",
          path.string(), line, end - begin, limit);
    }
    begin = end + 1;
  }
}

// Calls fn for what lies between lines holding only "%", without its last line break.
void ForEachQuote(std::string_view text, FunctionRef<void(std::string_view)> fn) {
  const auto emit = [&](size_t begin, size_t end) {
    std::string_view quote = text.substr(begin, end - begin);
    while (quote.ends_with('\n') || quote.ends_with('\r')) quote.remove_suffix(1);
    if (!quote.empty()) fn(quote);
  };
  size_t quote = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line == "%" || line == "%\r") {
      emit(quote, begin);
      quote = std::min(end + 1, text.size());
    }
    begin = end + 1;
  }
  emit(quote, text.size());
}

// What is wrong with the role of message `index`, or empty. The first turn is the user's.
std::string RoleFault(std::string_view role, size_t index, bool system_first) {
  if (role != "system" && role != "user" && role != "assistant") {
    return fmt::format("has role \"{}\"; known are system, user and assistant", role);
  }
  if (role == "system") return index == 0 ? "" : "is a system message, which may only come first";
  const size_t turn = index - (system_first ? 1 : 0);
  const std::string_view expected = turn % 2 == 0 ? "user" : "assistant";
  return role == expected ? "" : fmt::format("is of {} where {} has the turn", role, expected);
}

std::vector<Message> ReadConversation(const Json& object, const fs::path& path, int64_t line) {
  const auto fail = [&](const std::string& fault) {
    ThrowBadInput("{}:{}: {}; expected {}", path.string(), line, fault, kMessagesLine);
  };
  const auto list = object.find("messages");
  if (list == object.end() || !list->is_array() || list->empty())
    fail("no list \"messages\" with at least one message");
  std::vector<Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const Json& item = (*list)[i];
    const std::string name = fmt::format("message {}", i + 1);
    if (!item.is_object()) fail(name + " is no object");
    for (const char* key : {"role", "content"}) {
      const auto found = item.find(key);
      if (found == item.end() || !found->is_string()) fail(fmt::format("{} has no string \"{}\"", name, key));
    }
    Message message{.role = item["role"].get<std::string>(), .content = item["content"].get<std::string>()};
    const bool system_first = !messages.empty() && messages[0].role == "system";
    if (const std::string fault = RoleFault(message.role, i, system_first); !fault.empty()) fail(name + " " + fault);
    messages.push_back(std::move(message));
  }
  if (messages.back().role != "assistant") {
    fail(fmt::format("the last message is of {} and must be the assistant's, as its answers are what is learnt",
                     messages.back().role));
  }
  return messages;
}

}  // namespace

std::vector<fs::path> ListTextFiles(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    const fs::file_status status = fs::status(input, error);
    if (fs::is_directory(status)) {
      const std::vector<fs::path> inside = ListFolder(input);
      files.insert(files.end(), inside.begin(), inside.end());
    } else if (fs::is_regular_file(status)) {
      files.push_back(input);
    } else if (status.type() == fs::file_type::not_found) {
      ThrowBadInput("{}: no such file or folder; check the path (relative paths start from {})", input.string(),
                    fs::current_path(error).string());
    } else {
      ThrowBadInput("{}: neither a file nor a folder that can be read{}{}", input.string(), error ? ": " : "",
                    error ? error.message() : "");
    }
  }
  return files;
}

void ForEachDocument(const std::vector<fs::path>& inputs, const SourceOptions& options,
                     FunctionRef<void(std::string_view)> fn) {
  int64_t documents = 0;
  const auto emit = [&](std::string_view document) {
    if (document.empty()) return;
    ++documents;
    fn(document);
  };
  for (const fs::path& path : ListTextFiles(inputs)) {
    const MappedFile file(path);
    std::string_view text = Contents(file);
    CheckIsText(text, path);
    if (path.extension() == ".jsonl") {
      const auto emit_line = [&](const Json& object, int64_t line) {
        emit(JsonLineString(object, "text", path, line, kTextLine));
      };
      ForEachJsonLine(path, kTextLine, emit_line, static_cast<size_t>(options.max_line_bytes));
      continue;
    }
    CheckLineLengths(text, path, options.max_line_bytes);
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (options.percent_separated) {
      ForEachQuote(text, emit);
    } else {
      emit(text);
    }
  }
  if (documents > 0) return;
  if (inputs.empty()) ThrowBadInput("no text given: name at least one file or folder");
  ThrowBadInput("{}{}: no text in there: every document is empty", inputs[0].string(),
                inputs.size() > 1 ? fmt::format(" and {} more", inputs.size() - 1) : "");
}

void ForEachDocument(const std::vector<fs::path>& inputs, FunctionRef<void(std::string_view)> fn) {
  ForEachDocument(inputs, SourceOptions{}, fn);
}

std::vector<std::vector<Message>> ReadConversations(const fs::path& path) {
  std::vector<std::vector<Message>> conversations;
  ForEachJsonLine(path, kMessagesLine, [&](const Json& object, int64_t line) {
    conversations.push_back(ReadConversation(object, path, line));
  });
  if (conversations.empty()) {
    ThrowBadInput("{}: no conversation in there; expected lines such as {}", path.string(), kMessagesLine);
  }
  return conversations;
}

size_t ValidUtf8Bytes(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const size_t size = text.size();
  size_t i = 0;
  while (i < size) {
    if (uint64_t eight; size - i >= 8 && (std::memcpy(&eight, bytes + i, 8), (eight & 0x8080808080808080u) == 0)) {
      i += 8;
      continue;
    }
    const unsigned lead = bytes[i];
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || size - i < length) return i;
    // The second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (bytes[i + 1] < lowest || bytes[i + 1] > highest) return i;
    for (size_t k = 2; k < length; ++k) {
      if ((bytes[i + k] & 0xC0) != 0x80) return i;
    }
    i += length;
  }
  return i;
}

}  // namespace sputnik
