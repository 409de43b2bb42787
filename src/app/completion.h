// What generating verbs share: flags of sampling, the engine they need, and text from tokens as they come.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

namespace sputnik {

struct CompletionFlags {
  int64_t max_tokens = 256, top_k = 0, seed = 0;
  double temperature = 1, top_p = 1, min_p = 0;
  std::string attention = "expanded";

  void Declare(CommandLine& line);
  SamplingOptions sampling() const;
};

// --attention, as also `score` has it.
void DeclareAttention(CommandLine& line, std::string* attention);
AttentionForm AttentionFormOf(const std::string& name);

// Room for `samples` sequences of one prompt, as far as memory for it goes.
EngineOptions EngineOptionsFor(const ModelConfig& config, AttentionForm form, int64_t prompt_tokens, int64_t max_tokens,
                               int64_t samples);

std::string_view FinishReasonName(FinishReason reason);  // as OpenAI's API spells it

// The text of a completion, special tokens left out. Ids that the model has and the tokenizer has not become U+FFFD.
std::string CompletionText(const Tokenizer& tokenizer, std::span<const int32_t> tokens);

// The same, token by token: whole characters as soon as they are there.
class CompletionStream {
 public:
  explicit CompletionStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer), decoder_(tokenizer) {}
  std::string Push(int32_t token);
  std::string Finish() { return decoder_.Finish(); }

 private:
  const Tokenizer& tokenizer_;
  StreamDecoder decoder_;
};

}  // namespace sputnik
