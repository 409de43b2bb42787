#include "base/check.h"
#include "tests/fuzz/target.h"
#include "text/chat_template.h"

// A template of anybody's making, on a conversation with tools: it prints within its budget, a mark for every byte.
SPUTNIK_FUZZ_TARGET(template) {
  const sputnik::ChatTemplate chat_template =
      sputnik::ChatTemplate::FromText(std::string(input), R"({"bos_token": "<s>", "eos_token": "</s>"})", "fuzz");
  sputnik::ChatRequest request;
  request.messages =
      R"([{"role": "system", "content": "S"}, {"role": "user", "content": " <s> ü\n"},
          {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1.5}}}]},
          {"role": "tool", "content": "3"}, {"role": "user", "content": "'\"&"}])";
  request.tools =
      R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "number"}}}}}])";
  request.add_generation_prompt = true;
  request.now = 0;
  const sputnik::jinja::Text text = chat_template.Render(request);
  if (!text.marks.empty()) CHECK_EQ(text.marks.size(), text.bytes.size());
  CHECK_LE(text.bytes.size(), size_t{1} << 20);
}
