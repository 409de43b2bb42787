// Renders chat templates for tools/template_oracle.py: one JSON object per line in, one out.
//   in:  {"template", "config"?, "messages", "tools"?, "documents"?, "variables"?, "prompt"?, "now"?}  (all but the
//        template, the flag and the time as JSON texts)
//   out: {"text", "generated": [[begin, end], ...] in characters} or {"error"}
#include <iostream>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_template.h"

namespace sputnik {
namespace {

Json Answer(const Json& line, const ChatTemplate& chat_template) {
  ChatRequest request;
  request.messages = line.value("messages", "");
  request.tools = line.value("tools", "");
  request.documents = line.value("documents", "");
  request.variables = line.value("variables", "");
  request.add_generation_prompt = line.value("prompt", false);
  if (line.contains("now")) request.now = line["now"].get<int64_t>();
  const jinja::Text text = chat_template.Render(request);
  Json spans = Json::array();
  const jinja::Characters characters(text.bytes);
  for (int64_t i = 0; i < characters.count(); ++i) {
    if ((text.MarkAt(characters.Start(i)) & jinja::kGenerated) == 0) continue;
    if (spans.empty() || spans.back()[1] != i) spans.push_back({i, i});
    spans.back()[1] = i + 1;
  }
  return {{"text", text.bytes}, {"generated", spans}};
}

int Main() {
  std::string source;
  std::unique_ptr<ChatTemplate> chat_template;
  for (std::string text; std::getline(std::cin, text);) {
    Json answer;
    try {
      const Json line = ParseJson(text, "input");
      if (!chat_template || line["template"] != source) {
        source = line["template"];
        chat_template =
            std::make_unique<ChatTemplate>(ChatTemplate::FromText(source, line.value("config", ""), "template"));
      }
      answer = Answer(line, *chat_template);
    } catch (const Error& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace sputnik

int main() { return sputnik::Main(); }
