#include "app/completion.h"

#include <algorithm>

namespace sputnik {
namespace {

constexpr std::string_view kUnknown = "\xEF\xBF\xBD";

}  // namespace

void CompletionFlags::Declare(CommandLine& line) {
  line.Flag("--max-tokens,-n N", &max_tokens, "most tokens of a completion").minimum = 0;
  line.Flag("--temperature,--temp X", &temperature, "0: always the likeliest token").minimum = 0;
  line.Flag("--top-k N", &top_k, "draw from the N likeliest; 0: from all").minimum = 0;
  Field& p = line.Flag("--top-p X", &top_p, "draw from the fewest that hold this much probability; 1: from all");
  p.minimum = 0;
  p.maximum = 1;
  Field& m = line.Flag("--min-p X", &min_p, "leave out tokens less likely than this, relative to the likeliest");
  m.minimum = 0;
  m.maximum = 1;
  DeclareAttention(line, &attention);
}

SamplingOptions CompletionFlags::sampling() const {
  SamplingOptions options{
      .temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p, .seed = static_cast<uint64_t>(seed)};
  ValidateSampling(options);
  return options;
}

void DeclareAttention(CommandLine& line, std::string* attention) {
  line.Flag("--attention FORM", attention,
            "expanded (the same bits as training) or absorbed (a cache many times smaller, equal but for rounding)")
      .choices = {"expanded", "absorbed"};
}

AttentionForm AttentionFormOf(const std::string& name) {
  return name == "absorbed" ? AttentionForm::kAbsorbed : AttentionForm::kExpanded;
}

EngineOptions EngineOptionsFor(const ModelConfig& config, AttentionForm form, int64_t prompt_tokens, int64_t max_tokens,
                               int64_t samples) {
  EngineOptions options;
  options.form = form;
  const int64_t longest = LongestSequence(config), at_once = std::min(samples, options.max_sequences);
  const int64_t own = std::min(max_tokens, longest) + 2 * kKeyBlock;
  const int64_t wanted = std::min(prompt_tokens, longest) + at_once * own;
  const int64_t page_bytes = KvCache::BytesPerPage(config, form, DType::kF32);
  const int64_t affordable = std::max<int64_t>(1, options.memory_bytes / page_bytes) * kKeyBlock;
  options.cache_tokens = std::min(wanted, affordable);
  return options;
}

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "?";
}

std::string CompletionText(const Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  CompletionStream stream(tokenizer);
  std::string text;
  for (const int32_t token : tokens) text += stream.Push(token);
  return text + stream.Finish();
}

std::string CompletionStream::Push(int32_t token) {
  if (token >= tokenizer_.vocab_size()) return decoder_.Finish() + std::string(kUnknown);
  if (tokenizer_.IsSpecial(token)) return {};
  return decoder_.Push(token);
}

}  // namespace sputnik
