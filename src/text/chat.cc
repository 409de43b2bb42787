#include "text/chat.h"

#include <optional>

#include "base/error.h"
#include "text/added_tokens.h"

namespace sputnik {
namespace {

int32_t ControlId(const Tokenizer& tokenizer, std::string_view content) {
  const std::optional<int32_t> id = tokenizer.SpecialId(content);
  if (!id) ThrowBadInput("this tokenizer has no token {}, which a chat needs", content);
  return *id;
}

struct Span {
  size_t begin, end;
};

std::vector<Span> Generated(const jinja::Text& text) {
  std::vector<Span> spans;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text.MarkAt(i) & jinja::kGenerated) == 0) continue;
    if (spans.empty() || spans.back().end != i) spans.push_back({i, i});
    spans.back().end = i + 1;
  }
  return spans;
}

// What a template puts after an answer's end, such as a newline before the next turn, is not the answerer's to write.
size_t WithoutSpaceBetweenTurns(const jinja::Text& text, Span span) {
  const auto said = [&](size_t i) { return (text.MarkAt(i) & jinja::kSaid) != 0; };
  size_t end = span.end;
  while (end > span.begin && !said(end - 1) && (text.bytes[end - 1] == '\n' || text.bytes[end - 1] == ' ')) --end;
  return end > span.begin && !said(end - 1) ? end : span.end;
}

// Each answer, as what it adds to the prompt for it. `text` is all the messages. nullopt: the only answer is the last
// message, and it is not written as it is given.
std::optional<std::vector<Span>> AddedToPrompts(const ChatTemplate& chat_template, std::span<const Message> messages,
                                                const jinja::Text& text) {
  std::vector<Span> spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const std::string prompt = chat_template.Render(messages.first(i), true).bytes;
    const std::string answered =
        i + 1 == messages.size() ? text.bytes : chat_template.Render(messages.first(i + 1), false).bytes;
    if (!text.bytes.starts_with(prompt) || !text.bytes.starts_with(answered) || answered.size() < prompt.size()) {
      if (spans.empty() && i + 1 == messages.size()) return std::nullopt;
      ThrowBadInput(
          "the chat template does not write message {} the way it stands when the model answers, so what to learn "
          "cannot be told (templates that drop earlier reasoning do so); use conversations with one answer, or a "
          "chat_template.jinja that has {{% generation %}} around answers",
          i + 1);
    }
    Span span{prompt.size(), answered.size()};
    span.end = WithoutSpaceBetweenTurns(text, span);
    spans.push_back(span);
  }
  return spans;
}

// One answer, as the model would have given it to the prompt: what a template makes of answers that are past plays no
// part. Prompts that open a thought are gone on with.
ChatTokens EncodeLastAnswer(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                            std::span<const Message> messages) {
  const jinja::Text prompt = chat_template.Render(messages.first(messages.size() - 1), true);
  std::string_view answer = messages.back().content, asked = prompt.bytes;
  const size_t space = asked.size() - asked.find_last_not_of(" \n") - 1;
  asked.remove_suffix(space);
  if (asked.ends_with(kThinkBegin)) {
    if (!answer.starts_with(kThinkBegin)) {
      ThrowBadInput("the chat template begins every answer with {}, and the answer of message {} has no thought",
                    kThinkBegin, messages.size());
    }
    answer.remove_prefix(kThinkBegin.size());
    const std::string_view opened = std::string_view(prompt.bytes).substr(asked.size());
    if (answer.starts_with(opened)) answer.remove_prefix(opened.size());
  }
  if (tokenizer.eos_id() < 0) ThrowBadInput("tokenizer_config.json names no eos_token, with which an answer ends");
  ChatTokens chat{.ids = tokenizer.EncodeRendered(prompt), .is_answer = {}};
  chat.is_answer.resize(chat.ids.size(), 0);
  const std::vector<int32_t> ids = tokenizer.EncodeContent(answer);
  chat.ids.insert(chat.ids.end(), ids.begin(), ids.end());
  chat.ids.push_back(tokenizer.eos_id());
  chat.is_answer.resize(chat.ids.size(), 1);
  return chat;
}

ChatTokens EncodeByTemplate(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                            std::span<const Message> messages, bool add_generation_prompt) {
  const jinja::Text text = chat_template.Render(messages, add_generation_prompt);
  std::vector<Span> answers = Generated(text);
  if (answers.empty() && !add_generation_prompt) {
    std::optional<std::vector<Span>> added = AddedToPrompts(chat_template, messages, text);
    if (!added) return EncodeLastAnswer(tokenizer, chat_template, messages);
    answers = std::move(*added);
  }
  ChatTokens chat;
  size_t done = 0;
  const auto append = [&](size_t end, uint8_t is_answer) {
    for (const int32_t id : tokenizer.EncodeRendered(text, done, end)) {
      chat.ids.push_back(id);
      chat.is_answer.push_back(is_answer);
    }
    done = end;
  };
  for (const Span& answer : answers) {
    append(answer.begin, 0);
    append(answer.end, 1);
  }
  append(text.size(), 0);
  return chat;
}

}  // namespace

ChatTokens EncodeChat(const Tokenizer& tokenizer, std::span<const Message> messages, bool add_generation_prompt) {
  const ChatTemplate* chat_template = tokenizer.chat_template();
  if (chat_template != nullptr && chat_template->source() != OwnChatTemplate()) {
    if (messages.empty()) ThrowBadInput("a chat has no messages; expected at least one");
    return EncodeByTemplate(tokenizer, *chat_template, messages, add_generation_prompt);
  }
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

std::string_view OwnChatTemplate() {
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
