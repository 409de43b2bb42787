// A template's text in a test, rendered without a conversation.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "text/jinja_display.h"
#include "text/jinja_eval.h"
#include "text/jinja_heap.h"
#include "text/jinja_parser.h"

namespace sputnik::jinja {

// `variables` is a JSON object; its texts are marked as said.
inline Text RenderText(std::string_view source, std::string_view variables = "{}") {
  Heap heap(kMostSteps, kMostMemory);
  const Block block = Parse(source);
  return Run(heap, block, *ReadJson(heap, variables, "variables", kSaid).dict, 0);
}
inline std::string Render(std::string_view source, std::string_view variables = "{}") {
  return RenderText(source, variables).bytes;
}
// The message of the Error that it throws.
inline std::string RenderError(std::string_view source, std::string_view variables = "{}") {
  try {
    return "no error: " + Render(source, variables).substr(0, 200);
  } catch (const Error& error) {
    return error.code() == ExitCode::kBadInput ? error.what() : "the wrong code";
  }
}
// "t" for each byte of the template's own, "s" for what was said, "g" and "G" for the same inside {% generation %}.
inline std::string Marks(const Text& text) {
  std::string marks;
  for (size_t i = 0; i < text.size(); ++i) marks += "tsgG"[static_cast<size_t>(text.MarkAt(i))];
  return marks;
}

}  // namespace sputnik::jinja
