#include "base/check.h"
#include "tests/fuzz/target.h"
#include "text/tokenizer.h"

// A tokenizer that is accepted encodes any text to ids of its vocabulary, and its ids are decoded, at once and one by
// one, to the same bytes.
SPUTNIK_FUZZ_TARGET(tokenizer) {
  const sputnik::Tokenizer tokenizer = sputnik::Tokenizer::Load(sputnik::fuzz::FileHolding(input));
  const std::string text = "a b  \xE2\x96\x81 12 \xC3\xA9\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 \xFF <s> " +
                           std::string(input.substr(0, std::min<size_t>(input.size(), 64)));
  const std::vector<int32_t> ids = tokenizer.Complete(tokenizer.Encode(text, true));
  sputnik::StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const int32_t id : ids) {
    CHECK_LT(id, tokenizer.vocab_size());
    streamed += stream.Push(id);
  }
  streamed += stream.Finish();
  if (streamed != tokenizer.Decode(ids)) {
    sputnik::CheckFailed(__FILE__, __LINE__, "tokens decoded one by one are the text", streamed);
  }
}
