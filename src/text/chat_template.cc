#include "text/chat_template.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/jinja_display.h"
#include "text/jinja_eval.h"
#include "text/jinja_parser.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;
using jinja::Dict;
using jinja::Heap;
using jinja::Kind;
using jinja::Value;

constexpr size_t kLargestTemplate = size_t{1} << 20;

struct Parsed {
  std::string source;
  jinja::Block block;
  std::string mistake;  // why there is no block
};

Parsed ParseTemplate(std::string source) {
  Parsed parsed;
  parsed.source = std::move(source);
  try {
    parsed.block = jinja::Parse(parsed.source);
  } catch (const Error& error) {
    parsed.mistake = error.what();
  }
  return parsed;
}

// The special tokens that templates may name, in the order of transformers.
constexpr std::array<std::string_view, 7> kTokenNames{"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};

using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

void ReadSpecialTokens(const Json& config, SpecialTokens* tokens) {
  if (!config.is_object()) return;
  const auto read = [&](const std::string& name, const Json& token) {
    const Json& text = token.is_object() && token.contains("content") ? token["content"] : token;
    const bool known =
        std::any_of(tokens->begin(), tokens->end(), [&](const auto& other) { return other.first == name; });
    if (text.is_string() && !known) tokens->emplace_back(name, text.get<std::string>());
  };
  for (const std::string_view name : kTokenNames) {
    const auto found = config.find(name);
    if (found != config.end()) read(std::string(name), *found);
  }
  const auto extra = config.find("extra_special_tokens");
  if (extra == config.end() || !extra->is_object()) return;
  for (const auto& [name, token] : extra->items()) read(name, token);
}

// A role that is one plain word cannot hold a control token; left unmarked, templates may build their own from it.
bool IsPlainWord(std::string_view role) {
  return std::all_of(role.begin(), role.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; });
}

// As transformers hands a message on: keys without a value are left out, and reasoning stands under the name that
// templates read and the one that some do.
Value Normalised(Heap& heap, const Value& message) {
  if (!message.is(Kind::kDict)) ThrowBadInput("a message is a {}; expected an object", TypeName(message));
  const Value* reasoning = nullptr;
  for (const std::string_view name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = message.dict->Find(name);
    if (reasoning == nullptr && found != nullptr && !found->is(Kind::kNone)) reasoning = found;
  }
  const Value made = heap.MakeDict();
  if (reasoning != nullptr) made.dict->Set(heap.Make("thinking"), *reasoning);
  for (const auto& [key, value] : message.dict->entries) {
    if (value.is(Kind::kNone)) continue;
    const bool role = key.text->bytes == "role" && value.IsText() && IsPlainWord(value.text->bytes);
    made.dict->Set(key, role ? heap.Make(std::string_view(value.text->bytes)) : value);
  }
  if (reasoning != nullptr) made.dict->Set(heap.Make("reasoning_content"), *reasoning);
  return made;
}

}  // namespace

struct ChatTemplate::Impl {
  std::string name;  // of the file, for messages
  std::map<std::string, Parsed, std::less<>> templates;
  SpecialTokens tokens;

  const Parsed* Find(std::string_view which) const {
    const auto found = templates.find(which);
    return found == templates.end() ? nullptr : &found->second;
  }

  const Parsed& Choose(bool tools) const {
    const Parsed* chosen = tools ? Find("tool_use") : nullptr;
    if (chosen == nullptr) chosen = Find("default");
    if (chosen == nullptr) ThrowBadInput("{}: none of its chat templates is named \"default\"", name);
    if (!chosen->mistake.empty()) ThrowBadInput("{}: the chat template: {}", name, chosen->mistake);
    return *chosen;
  }

  jinja::Text Render(Heap& heap, const Value& messages, const Value& tools, const Value& documents,
                     const Value& variables, bool add_generation_prompt, std::optional<int64_t> now) const {
    const bool has_tools = !tools.is(Kind::kNone);
    const Parsed& chosen = Choose(has_tools);
    const Value given = heap.MakeDict();
    const auto set = [&](std::string_view key, const Value& value) { given.dict->Set(heap.Make(key), value); };
    for (const auto& [key, token] : tokens) set(key, heap.Make(std::string_view(token)));
    for (const auto& [key, value] : variables.dict->entries) set(key.text->bytes, value);
    set("messages", messages);
    set("tools", tools);
    set("documents", documents);
    set("add_generation_prompt", jinja::Bool(add_generation_prompt));
    if (!now) {
      const auto since = std::chrono::system_clock::now().time_since_epoch();
      now = std::chrono::duration_cast<std::chrono::seconds>(since).count();
    }
    try {
      return jinja::Run(heap, chosen.block, *given.dict, *now);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: the chat template, {}", name, error.what()));
    }
  }
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatTemplate ChatTemplate::FromText(std::string source, std::string_view config, std::string name) {
  auto impl = std::make_unique<Impl>();
  if (!config.empty()) ReadSpecialTokens(ParseJson(config, name), &impl->tokens);
  impl->name = std::move(name);
  impl->templates.emplace("default", ParseTemplate(std::move(source)));
  return ChatTemplate(std::move(impl));
}

std::optional<ChatTemplate> ChatTemplate::Load(const fs::path& folder) {
  std::error_code ignored;
  auto impl = std::make_unique<Impl>();
  const auto add = [&](const std::string& name, std::string source, const fs::path& file) {
    if (source.size() > kLargestTemplate) ThrowBadInput("{}: a chat template of more than 1 MiB", file.string());
    impl->templates.emplace(name, ParseTemplate(std::move(source)));
    impl->name = file.string();
  };
  const auto add_file = [&](const std::string& name, const fs::path& file) {
    if (fs::file_size(file, ignored) > kLargestTemplate) {
      ThrowBadInput("{}: a chat template of more than 1 MiB", file.string());
    }
    add(name, ReadFile(file), file);
  };
  if (fs::is_directory(folder / "additional_chat_templates", ignored)) {
    for (const auto& entry : fs::directory_iterator(folder / "additional_chat_templates")) {
      if (entry.path().extension() == ".jinja") add_file(entry.path().stem().string(), entry.path());
    }
  }
  if (fs::exists(folder / "chat_template.jinja", ignored)) add_file("default", folder / "chat_template.jinja");

  // The newer of the two files with special tokens wins.
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file, ignored)) continue;
    const Json config = ReadJsonFile(file);
    ReadSpecialTokens(config, &impl->tokens);
    const auto found = config.is_object() ? config.find("chat_template") : config.end();
    if (found == config.end() || !impl->templates.empty()) continue;
    if (found->is_string()) {
      add("default", found->get<std::string>(), file);
    } else if (found->is_array()) {
      for (const Json& item : *found) {
        const bool fits = item.is_object() && item.contains("name") && item["name"].is_string() &&
                          item.contains("template") && item["template"].is_string();
        if (!fits) ThrowBadInput("{}: chat_template: expected a list of objects with name and template", file.string());
        add(item["name"].get<std::string>(), item["template"].get<std::string>(), file);
      }
    } else if (!found->is_null()) {
      ThrowBadInput("{}: chat_template is neither a text nor a list of named ones", file.string());
    }
  }
  if (impl->templates.empty()) return std::nullopt;
  return ChatTemplate(std::move(impl));
}

jinja::Text ChatTemplate::Render(const ChatRequest& request) const {
  Heap heap(jinja::kMostSteps, jinja::kMostMemory);
  const auto read = [&](const std::string& json, const char* what, Kind kind) {
    if (json.empty()) return jinja::None();
    const Value value = jinja::ReadJson(heap, json, what, jinja::kSaid);
    if (value.is(Kind::kNone)) return value;
    if (value.kind != kind) ThrowBadInput("{}: expected {}", what, kind == Kind::kList ? "a list" : "an object");
    return value;
  };
  std::vector<Value> messages;
  const Value list = read(request.messages, "messages", Kind::kList);
  if (list.is(Kind::kList)) {
    for (const Value& message : list.list->items) messages.push_back(Normalised(heap, message));
  }
  const Value tools = read(request.tools, "tools", Kind::kList);
  const Value documents = read(request.documents, "documents", Kind::kList);
  const Value variables = read(request.variables, "variables", Kind::kDict);
  return impl_->Render(heap, heap.MakeList(std::move(messages)), tools, documents,
                       variables.is(Kind::kDict) ? variables : heap.MakeDict(), request.add_generation_prompt,
                       request.now);
}

jinja::Text ChatTemplate::Render(std::span<const Message> messages, bool add_generation_prompt) const {
  Heap heap(jinja::kMostSteps, jinja::kMostMemory);
  std::vector<Value> list;
  for (const Message& message : messages) {
    const Value made = heap.MakeDict();
    const char mark = IsPlainWord(message.role) ? char{0} : jinja::kSaid;
    made.dict->Set(heap.Make("role"), heap.Make(jinja::Text(message.role, mark)));
    made.dict->Set(heap.Make("content"), heap.Make(jinja::Text(message.content, jinja::kSaid)));
    list.push_back(made);
  }
  return impl_->Render(heap, heap.MakeList(std::move(list)), jinja::None(), jinja::None(), heap.MakeDict(),
                       add_generation_prompt, std::nullopt);
}

const std::string& ChatTemplate::source() const {
  static const std::string kNone;
  const Parsed* parsed = impl_->Find("default");
  return parsed == nullptr ? kNone : parsed->source;
}

}  // namespace sputnik
