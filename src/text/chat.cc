#include "text/chat.h"

#include "base/error.h"
#include "text/added_tokens.h"

namespace sputnik {
namespace {

int32_t ControlId(const Tokenizer& tokenizer, std::string_view content) {
  const std::optional<int32_t> id = tokenizer.SpecialId(content);
  if (!id) ThrowBadInput("this tokenizer has no token {}, which a chat needs", content);
  return *id;
}

}  // namespace

ChatTokens EncodeChat(const Tokenizer& tokenizer, std::span<const Message> messages, bool add_generation_prompt) {
  const int32_t bos = tokenizer.bos_id() >= 0 ? tokenizer.bos_id() : ControlId(tokenizer, kBosToken);
  const int32_t eos = tokenizer.eos_id() >= 0 ? tokenizer.eos_id() : ControlId(tokenizer, kEosToken);
  const int32_t user = ControlId(tokenizer, kUserToken);
  const int32_t assistant = ControlId(tokenizer, kAssistantToken);
  if (messages.empty()) ThrowBadInput("a chat has no messages; expected at least one, with role \"user\"");

  ChatTokens chat;
  const auto append = [&](int32_t id, uint8_t is_answer) {
    chat.ids.push_back(id);
    chat.is_answer.push_back(is_answer);
  };
  const auto append_text = [&](std::string_view text, uint8_t is_answer) {
    for (const int32_t id : tokenizer.EncodeContent(text)) append(id, is_answer);
  };
  append(bos, 0);
  bool users_turn = true;
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (role == "system" && i == 0) {
      append_text(content, 0);
      continue;
    }
    const std::string_view expected = users_turn ? "user" : "assistant";
    if (role != expected) {
      if (role != "system" && role != "user" && role != "assistant") {
        ThrowBadInput("message {} has the unknown role \"{}\"; roles are \"system\", \"user\" and \"assistant\"", i + 1,
                      role);
      }
      ThrowBadInput("message {} has role \"{}\"; expected \"{}\"{}", i + 1, role, expected,
                    i == 0             ? " (or \"system\")"
                    : role == "system" ? " (\"system\" may only come first)"
                                       : "");
    }
    if (users_turn) {
      append(user, 0);
      append_text(content, 0);
    } else {
      append(assistant, 0);
      append_text(content, 1);
      append(eos, 1);
    }
    users_turn = !users_turn;
  }
  if (messages.size() == 1 && messages[0].role == "system") {
    ThrowBadInput("a chat has only a system message; expected a message with role \"user\" after it");
  }
  if (add_generation_prompt) {
    if (users_turn) {
      ThrowBadInput("the last message has role \"{}\"; to be answered it must have role \"user\"",
                    messages.back().role);
    }
    append(assistant, 0);
  }
  return chat;
}

std::string_view ChatTemplate() {
  return "{{- bos_token -}}"
         "{%- for turn in messages -%}"
         "{%- if turn.role == 'system' -%}{{- turn.content -}}"
         "{%- elif turn.role == 'user' -%}{{- '<｜User｜>' + turn.content -}}"
         "{%- elif turn.role == 'assistant' -%}{{- '<｜Assistant｜>' + turn.content + eos_token -}}"
         "{%- else -%}{{- raise_exception('unknown role: ' + turn.role) -}}"
         "{%- endif -%}"
         "{%- endfor -%}"
         "{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}";
}

}  // namespace sputnik
