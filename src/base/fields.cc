#include "base/fields.h"

#include <fmt/core.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <type_traits>

#include "base/error.h"
#include "base/file.h"

namespace sputnik {
namespace {

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

template <class T>
std::string_view NameOfType() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, int64_t>) return "a whole number";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, std::vector<int64_t>>) return "a list of whole numbers";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "a list of numbers";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "a list of strings";
}

std::string FullName(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string QuotedList(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", name);
  return text;
}

// ---- values
// ----------------------------------------------------------------------------------------------------------

std::string WriteString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          out += fmt::format("\\u{:04x}", byte);
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

std::string WriteValue(bool value) { return value ? "true" : "false"; }
std::string WriteValue(int64_t value) { return fmt::format("{}", value); }
std::string WriteValue(double value) {
  // The shortest digits that read back to the same number; with a mark that keeps it a float in TOML.
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == text.npos) text += ".0";
  return text;
}
std::string WriteValue(const std::string& value) { return WriteString(value); }
template <class T>
std::string WriteValue(const std::vector<T>& list) {
  std::string text = "[";
  for (const T& value : list) text += (text.size() > 1 ? ", " : "") + WriteValue(value);
  return text + "]";
}

// What stands in the file, for an error text.
std::string Describe(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    const std::string& value = text->get();
    constexpr size_t kLongest = 40;
    return fmt::format("the string {}{}", WriteString(value.substr(0, kLongest)), value.size() > kLongest ? "…" : "");
  }
  if (const auto* value = node.as_integer()) return WriteValue(value->get());
  if (const auto* value = node.as_floating_point()) return WriteValue(value->get());
  if (const auto* value = node.as_boolean()) return WriteValue(value->get());
  if (node.is_array()) return "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

bool Convert(const toml::node& node, bool& out) {
  const auto* value = node.as_boolean();
  if (value != nullptr) out = value->get();
  return value != nullptr;
}
bool Convert(const toml::node& node, int64_t& out) {
  if (const auto* value = node.as_integer()) {
    out = value->get();
    return true;
  }
  // Counts are often written as 1e9, which TOML calls a float. Exact whole numbers are taken.
  const auto* value = node.as_floating_point();
  if (value == nullptr || std::abs(value->get()) > 0x1p53 || value->get() != std::trunc(value->get())) return false;
  out = static_cast<int64_t>(value->get());
  return true;
}
bool Convert(const toml::node& node, double& out) {
  if (const auto* value = node.as_floating_point()) {
    out = value->get();
    return true;
  }
  const auto* value = node.as_integer();
  if (value != nullptr) out = static_cast<double>(value->get());
  return value != nullptr;
}
bool Convert(const toml::node& node, std::string& out) {
  const auto* value = node.as_string();
  if (value != nullptr) out = value->get();
  return value != nullptr;
}
template <class T>
bool Convert(const toml::node& node, std::vector<T>& out) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return false;
  std::vector<T> list;
  for (const toml::node& element : *array) {
    T value{};
    if (!Convert(element, value)) return false;
    list.push_back(std::move(value));
  }
  out = std::move(list);
  return true;
}

// ---- checks
// ----------------------------------------------------------------------------------------------------------

void CheckValue(const Field& /*field*/, bool /*value*/, std::string_view /*where*/) {}

template <class Number>
requires std::is_arithmetic_v<Number>
void CheckValue(const Field& field, Number value, std::string_view where) {
  const auto number = static_cast<double>(value);
  if (number >= field.minimum && number <= field.maximum) return;  // false for not-a-number
  std::string range = "a number";
  if (std::isfinite(field.minimum) && std::isfinite(field.maximum)) {
    range = fmt::format("between {} and {}", field.minimum, field.maximum);
  } else if (std::isfinite(field.minimum)) {
    range = fmt::format("at least {}", field.minimum);
  } else if (std::isfinite(field.maximum)) {
    range = fmt::format("at most {}", field.maximum);
  }
  ThrowUsage("{}: {} must be {}, not {}", where, field.name, range, value);
}

void CheckValue(const Field& field, const std::string& value, std::string_view where) {
  const auto& choices = field.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  const std::string nearest = NearestName(value, choices);
  ThrowUsage("{}: {} must be one of {}, not \"{}\"{}", where, field.name, QuotedList(choices), value,
             nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest));
}

template <class T>
void CheckValue(const Field& field, const std::vector<T>& list, std::string_view where) {
  for (const T& value : list) CheckValue(field, value, where);
}

void Assign(const Field& field, const toml::node& node, std::string_view section, std::string_view where) {
  // The same field under its full name, for messages.
  Field named = field;
  named.name = FullName(section, field.name);
  std::visit(
      [&](auto* target) {
        using T = std::remove_pointer_t<decltype(target)>;
        T value{};
        if (!Convert(node, value)) {
          ThrowUsage("{}: {} must be {}, not {}", where, named.name, NameOfType<T>(),
                     kIsList<T> && node.is_array() ? "a list with anything else in it" : Describe(node));
        }
        CheckValue(named, value, where);
        *target = std::move(value);
      },
      field.value);
}

// ---- names
// -----------------------------------------------------------------------------------------------------------

const Section* FindSection(const std::vector<Section>& sections, std::string_view name) {
  const auto same = [&](const Section& section) { return section.name == name; };
  const auto found = std::find_if(sections.begin(), sections.end(), same);
  return found == sections.end() ? nullptr : &*found;
}

[[noreturn]] void ThrowUnknownSection(const std::vector<Section>& sections, std::string_view name,
                                      std::string_view where) {
  std::vector<std::string> names;
  for (const Section& section : sections) {
    if (!section.name.empty()) names.push_back(section.name);
  }
  const std::string nearest = NearestName(name, names);
  ThrowUsage("{}: unknown section [{}]; {}", where, name,
             nearest.empty() ? "there are " + QuotedList(names) : fmt::format("did you mean [{}]?", nearest));
}

[[noreturn]] void ThrowUnknownKey(const std::vector<Section>& sections, const Section& section, std::string_view key,
                                  std::string_view where) {
  std::vector<std::string> names;
  for (const Field& field : section.fields.list()) names.push_back(field.name);
  std::string hint;
  if (const std::string nearest = NearestName(key, names); !nearest.empty()) {
    hint = fmt::format("did you mean {}?", FullName(section.name, nearest));
  }
  for (const Section& other : sections) {
    if (hint.empty() && other.fields.Find(key) != nullptr) {
      hint = fmt::format("did you mean {}?", FullName(other.name, key));
    }
  }
  if (hint.empty()) hint = names.empty() ? "it has no keys" : "there are " + QuotedList(names);
  ThrowUsage("{}: unknown key {}; {}", where, FullName(section.name, key), hint);
}

// True if some section lies in the table `path`, as [model.rope] lies in model.
bool HoldsSections(const std::vector<Section>& sections, std::string_view path) {
  return std::any_of(sections.begin(), sections.end(), [&](const Section& section) {
    return section.name.size() > path.size() && section.name.starts_with(path) && section.name[path.size()] == '.';
  });
}

void ReadTable(const toml::table& table, const std::string& path, const std::string& file,
               const std::vector<Section>& sections) {
  const Section* section = FindSection(sections, path);
  for (auto&& [key, node] : table) {
    const std::string where = fmt::format("{}:{}", file, key.source().begin.line);
    const std::string full = FullName(path, key.str());
    const Field* field = section == nullptr ? nullptr : section->fields.Find(key.str());
    if (field != nullptr) {
      Assign(*field, node, path, where);
    } else if (const toml::table* inner = node.as_table()) {
      if (FindSection(sections, full) == nullptr && !HoldsSections(sections, full)) {
        ThrowUnknownSection(sections, full, where);
      }
      ReadTable(*inner, full, file, sections);
    } else if (FindSection(sections, full) != nullptr) {
      ThrowUsage("{}: {} is a section: write [{}] and its keys below", where, full, full);
    } else if (section == nullptr) {
      ThrowUsage("{}: the key {} stands outside of any section; write [section] above it", where, full);
    } else {
      ThrowUnknownKey(sections, *section, key.str(), where);
    }
  }
}

size_t EditDistance(std::string_view a, std::string_view b) {
  // Optimal string alignment: insert, delete, change, or swap two neighbours.
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

// Of an override's text: what stands behind the equals sign, as a TOML document with one key.
std::optional<toml::table> ParseValue(std::string_view text) {
  try {
    toml::table table = toml::parse(fmt::format("value = {}", text));
    if (table.size() == 1) return table;
  } catch (const toml::parse_error&) {
  }
  return std::nullopt;
}

}  // namespace

const Field* Fields::Find(std::string_view name) const {
  for (const Field& field : list_) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

void ReadToml(const std::filesystem::path& path, std::vector<Section>& sections) {
  toml::table table;
  try {
    table = toml::parse(ReadFile(path));
  } catch (const toml::parse_error& e) {
    const auto place = e.source().begin;
    ThrowUsage("{}:{}:{}: not valid TOML: {}", path.string(), place.line, place.column, e.description());
  } catch (const Error& e) {
    ThrowUsage("{}", e.what());
  }
  ReadTable(table, "", path.string(), sections);
}

void ApplyOverride(std::string_view assignment, std::vector<Section>& sections) {
  const std::string where = fmt::format("--set {}", assignment);
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos) ThrowUsage("{}: expected section.key=value", where);
  const std::string_view full = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  const size_t dot = full.rfind('.');
  const std::string_view section_name = dot == full.npos ? "" : full.substr(0, dot);
  const std::string_view key = dot == full.npos ? full : full.substr(dot + 1);

  const Section* section = FindSection(sections, section_name);
  if (section == nullptr) {
    for (const Section& other : sections) {
      if (section_name.empty() && other.fields.Find(key) != nullptr) {
        ThrowUsage("{}: expected section.key=value; did you mean {}?", where, FullName(other.name, key));
      }
    }
    if (section_name.empty()) ThrowUsage("{}: expected section.key=value", where);
    ThrowUnknownSection(sections, section_name, where);
  }
  const Field* field = section->fields.Find(key);
  if (field == nullptr) ThrowUnknownKey(sections, *section, key, where);

  const bool wants_string = std::holds_alternative<std::string*>(field->value);
  const bool wants_strings = std::holds_alternative<std::vector<std::string>*>(field->value);
  const bool wants_numbers =
      !wants_strings &&
      std::visit([](auto* target) { return kIsList<std::remove_pointer_t<decltype(target)>>; }, field->value);
  // A string needs no quotes, so that a path can be given as it is; a list of one or more numbers needs no brackets.
  std::string value(text);
  if (wants_string && !text.starts_with('"') && !text.starts_with('\'')) value = WriteString(text);
  if (wants_strings && !text.starts_with('[')) value = fmt::format("[{}]", WriteString(text));
  if (wants_numbers && !text.starts_with('[')) value = fmt::format("[{}]", text);
  std::optional<toml::table> parsed = ParseValue(value);
  if (!parsed) parsed = ParseValue(WriteString(text));  // a bare word; its type is judged below
  if (!parsed) ThrowUsage("{}: the value is not valid TOML (is it UTF-8?)", where);
  Assign(*field, *parsed->get("value"), section_name, where);
}

std::string WriteToml(const std::vector<Section>& sections, bool with_help) {
  std::string text;
  for (const Section& section : sections) {
    if (!section.name.empty()) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section.name);
    for (const Field& field : section.fields.list()) {
      const std::string value = std::visit([](const auto* target) { return WriteValue(*target); }, field.value);
      text += fmt::format("{} = {}", field.name, value);
      if (with_help && !field.help.empty()) text += fmt::format("  # {}", field.help);
      text += '\n';
    }
  }
  return text;
}

void CheckField(const Field& field, std::string_view where) {
  std::visit([&](const auto* target) { CheckValue(field, *target, where); }, field.value);
}

std::string NearestName(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 100;  // nobody means a name of ours by a longer one
  if (name.size() > kLongest) return {};
  const auto fold = [](std::string_view text) {
    std::string folded(text);
    for (char& c : folded) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return folded;
  };
  std::string best;
  size_t best_distance = 1 + name.size() / 4;  // one slip in a short name, more in a long one
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(fold(name), fold(candidate));
    if (distance < best_distance || (distance == best_distance && best.empty() && distance < candidate.size())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace sputnik
