// A model folder's chat template: conversations as text, in the form that the model was trained on. Its language is the
// part of jinja2 that published templates use, in the setting of the transformers library
// (ImmutableSandboxedEnvironment with trim_blocks and lstrip_blocks, loop controls, {% generation %}, its own tojson,
// raise_exception, strftime_now); what it prints is equal byte for byte. Templates come from strangers: they reach no
// file, process or network, and their work, memory, depth and output are bounded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "text/jinja_text.h"

namespace sputnik {

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// What a template is given, as JSON texts; empty ones are absent.
struct ChatRequest {
  std::string messages = {};   // a list of objects
  std::string tools = {};      // a list
  std::string documents = {};  // a list
  std::string variables = {};  // an object: further names, such as enable_thinking
  bool add_generation_prompt = false;
  std::optional<int64_t> now = {};  // for strftime_now, in seconds since 1970; the clock by default
};

// Const methods may be called from several threads at once.
class ChatTemplate {
 public:
  // From chat_template.jinja and additional_chat_templates/, or else from `chat_template` in tokenizer_config.json (one
  // text, or a list of named ones), which also names the special tokens. nullopt: there is none. A template with a
  // mistake in it is an Error only when it is used; a file that cannot be read, or is over 1 MiB, is one at once.
  static std::optional<ChatTemplate> Load(const std::filesystem::path& folder);
  // One template; `config`, the text of a tokenizer_config.json or nothing, names the special tokens.
  static ChatTemplate FromText(std::string source, std::string_view config, std::string name);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // What the template prints; kSaid marks the bytes that came from the request, but for roles that are plain words,
  // kGenerated those inside {% generation %}. Of several templates the one named tool_use is taken when there are
  // tools, else default. Throws Error (bad input) naming the template, its line and what is wrong.
  jinja::Text Render(const ChatRequest& request) const;
  jinja::Text Render(std::span<const Message> messages, bool add_generation_prompt) const;

  // The text of the template that is taken without tools; empty when none of that name is there.
  const std::string& source() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sputnik
