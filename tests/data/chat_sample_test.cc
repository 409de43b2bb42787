#include "data/chat_sample.h"

#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(ChatSample, WeighsTheAnswersAndTheirEndsOnly) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  const std::vector<Message> messages = {{"system", "be brief"},
                                         {"user", "1+1="},
                                         {"assistant", "2"},
                                         {"user", "2+2="},
                                         {"assistant", "<think>x</think>4"}};
  const Sample sample = MakeChatSample(tokenizer, messages);
  ASSERT_EQ(sample.ids.size(), sample.target_weights.size());
  EXPECT_TRUE(sample.positions.empty());
  EXPECT_EQ(sample.ids[0], tokenizer.bos_id());
  std::vector<int32_t> learnt;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    EXPECT_TRUE(sample.target_weights[i] == 0.0f || sample.target_weights[i] == 1.0f);
    if (sample.target_weights[i] == 1.0f) learnt.push_back(sample.ids[i]);
  }
  const std::string eos = tokenizer.Decode(std::vector<int32_t>{tokenizer.eos_id()});
  EXPECT_EQ(tokenizer.Decode(learnt), "2" + eos + "<think>x</think>4" + eos);
}

TEST(ChatSample, RefusesConversationsWithoutAnswer) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  const std::vector<Message> messages = {{"user", "1+1="}};
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { MakeChatSample(tokenizer, messages); }),
                  "no answer of the assistant");
}

}  // namespace
}  // namespace sputnik
