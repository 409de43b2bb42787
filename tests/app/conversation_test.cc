#include "app/conversation.h"

#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

class ConversationTest : public testing::Test {
 protected:
  std::vector<int32_t> Encoded(const std::vector<Message>& messages) const {
    return EncodeChat(tokenizer_, messages, true).ids;
  }

  TemporaryFolder folder_;
  Tokenizer tokenizer_ = MakeByteTokenizer(folder_.path());
};

TEST_F(ConversationTest, EachPromptHoldsAllThatWasSaid) {
  Conversation talk(tokenizer_, 1000);
  EXPECT_EQ(talk.Ask("one", 10).ids, Encoded({{"user", "one"}}));
  talk.Answer("1");
  talk.SetSystem("be short");
  EXPECT_EQ(talk.Ask("two", 10).ids,
            Encoded({{"system", "be short"}, {"user", "one"}, {"assistant", "1"}, {"user", "two"}}));
  talk.Answer("");
  EXPECT_EQ(talk.turns(), 2);
  talk.Clear();
  EXPECT_EQ(talk.Ask("three", 10).ids, Encoded({{"system", "be short"}, {"user", "three"}}));
}

TEST_F(ConversationTest, ForgetsFromTheStartWhatDoesNotFit) {
  // One byte is one token: the start, then per turn two marks, an end, and the letters.
  Conversation talk(tokenizer_, 40);
  talk.Ask("aaaa", 10);
  talk.Answer("AAAA");  // 1 + 11
  talk.Ask("bbbb", 10);
  talk.Answer("BBBB");                                       // 23
  EXPECT_EQ(talk.Ask("cc", 13).forgotten, 0);                // 27 and 13 are 40
  talk.Answer("C");                                          // 29
  const Conversation::Prompt prompt = talk.Ask("dddd", 10);  // 35 and 10 are too many
  EXPECT_EQ(prompt.forgotten, 1);
  EXPECT_EQ(prompt.ids,
            Encoded({{"user", "bbbb"}, {"assistant", "BBBB"}, {"user", "cc"}, {"assistant", "C"}, {"user", "dddd"}}));
  talk.Answer("D");
  EXPECT_EQ(talk.turns(), 3) << "what was forgotten stays so";
}

TEST_F(ConversationTest, AQuestionAloneMayTakeTheRoomOfItsAnswer) {
  Conversation talk(tokenizer_, 20);
  EXPECT_EQ(talk.Ask(std::string(16, 'x'), 10).ids.size(), 19u);
}

TEST_F(ConversationTest, AQuestionThatCannotFitLeavesAllAsItWas) {
  Conversation talk(tokenizer_, 20);
  talk.Ask("a", 1);
  talk.Answer("b");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { talk.Ask(std::string(17, 'x'), 1); }),
                  "takes 20 tokens, but the model's context is 20");
  EXPECT_EQ(talk.turns(), 1);
  EXPECT_EQ(talk.Ask("c", 1).ids, Encoded({{"user", "a"}, {"assistant", "b"}, {"user", "c"}}));
}

}  // namespace
}  // namespace sputnik
