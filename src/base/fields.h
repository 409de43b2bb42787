// Named settings of a struct, listed once. A config struct has one member function
//     void ListFields(Fields& fields) { fields.Add("lr", &lr, "peak learning rate"); ... }
// and gets from it: reading TOML with line numbers and nearest-name errors, --set overrides, the resolved recipe, JSON
// in Hugging Face style, and help text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sputnik {

struct Field {
  using Value = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*, std::vector<double>*,
                             std::vector<std::string>*>;
  std::string name;
  Value value;
  std::string help;
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of a string; empty: anything
};

class Fields {
 public:
  // Registers a setting; the pointee holds the default and receives what is read.
  template <class T>
  Field& Add(std::string_view name, T* value, std::string_view help) {
    list_.push_back({.name = std::string(name), .value = value, .help = std::string(help)});
    return list_.back();
  }
  const std::vector<Field>& list() const { return list_; }
  void Append(const Field& field) { list_.push_back(field); }
  const Field* Find(std::string_view name) const;

 private:
  std::vector<Field> list_;
};

// One [section] of a recipe.
struct Section {
  std::string name;
  Fields fields;
};

// Reads a TOML file into the sections. Errors (usage): unknown section or key with the nearest valid name, wrong type,
// out of range, each with file and line.
void ReadToml(const std::filesystem::path& path, std::vector<Section>& sections);

// Applies "section.key=value" (the value in TOML syntax; a bare word is taken as a string).
void ApplyOverride(std::string_view assignment, std::vector<Section>& sections);

// All sections with every value, as TOML that ReadToml reads back to the same values.
std::string WriteToml(const std::vector<Section>& sections, bool with_help = true);

// Checks ranges and choices; throws Error (usage) naming `where` and the field.
void CheckField(const Field& field, std::string_view where);

// The candidate nearest to `name` by edit distance, or empty if none is near.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace sputnik
