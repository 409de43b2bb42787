#include "app/sft_samples.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <set>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

class SftSamples : public testing::Test {
 protected:
  SftSamples() {
    config_.train.batch_tokens = 300;
    config_.train.micro_batch_tokens = 100;
    model_.max_position_embeddings = model_.position_range = 64;
  }

  std::string Write(const std::string& text) {
    const std::string path = folder_ / "chats.jsonl";
    std::ofstream(path) << text;
    return path;
  }

  // The texts of a step's sequences.
  std::vector<std::string> Texts(const std::vector<Batch>& batches) const {
    std::vector<std::string> texts;
    for (const Batch& batch : batches) {
      for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
        const auto begin = static_cast<size_t>(batch.sequence_start[s]),
                   end = static_cast<size_t>(batch.sequence_start[s + 1]);
        texts.push_back(tokenizer_.Decode(std::span(batch.ids).subspan(begin, end - begin), true));
      }
    }
    return texts;
  }

  TemporaryFolder folder_;
  Tokenizer tokenizer_ = MakeByteTokenizer(folder_.path());
  ModelConfig model_;
  SftConfig config_;
  TaskOptions options_;
};

TEST_F(SftSamples, ProblemsFillTheBatchAndHangOnTheStepAlone) {
  const StepBatches batches = ProblemBatches(config_, model_, tokenizer_, options_, 5);
  int64_t tokens = 0;
  for (const Batch& batch : batches(3)) {
    EXPECT_LE(batch.tokens(), 100);
    tokens += batch.tokens();
  }
  EXPECT_GE(tokens, 300 - 64);
  const auto texts = Texts(batches(3));
  EXPECT_EQ(texts, Texts(ProblemBatches(config_, model_, tokenizer_, options_, 5)(3)));
  EXPECT_NE(texts, Texts(batches(4)));
  EXPECT_NE(texts, Texts(ProblemBatches(config_, model_, tokenizer_, options_, 6)(3)));
}

TEST_F(SftSamples, OnlyTheAnswerIsLearnt) {
  for (const Batch& batch : ProblemBatches(config_, model_, tokenizer_, options_, 5)(0)) {
    for (size_t i = 0; i < batch.ids.size(); ++i) {
      const std::string next =
          batch.targets[i] < 0 ? "" : tokenizer_.Decode(std::vector<int32_t>{batch.targets[i]}, true);
      // Plus and equals signs stand in the questions alone.
      if (next == "+" || next == "=") {
        EXPECT_EQ(batch.weights[i], 0.f);
      }
    }
    EXPECT_GT(std::accumulate(batch.weights.begin(), batch.weights.end(), 0.f), 0.f);
  }
}

TEST_F(SftSamples, TheHardestShareDrawsTheHighestLevel) {
  config_.lowest_level = 1;
  config_.highest_level = 4;
  config_.train.batch_tokens = 4000;
  const auto digits = [&](double share) {
    config_.hardest_share = share;
    std::multiset<size_t> lengths;
    for (const std::string& text : Texts(ProblemBatches(config_, model_, tokenizer_, options_, 5)(0))) {
      lengths.insert(text.find('+') - text.find_first_of("0123456789"));
    }
    return lengths;
  };
  const auto all = digits(1), even = digits(0);
  EXPECT_EQ(all.count(4), all.size());
  for (const size_t level : {1, 2, 3, 4}) {
    EXPECT_NEAR(static_cast<double>(even.count(level)) / static_cast<double>(even.size()), 0.25, 0.12) << level;
  }
}

TEST_F(SftSamples, RandomisedPositionsAscendWithinTheRange) {
  model_.position_mode = "randomised";
  std::set<int32_t> seen;
  for (const Batch& batch : ProblemBatches(config_, model_, tokenizer_, options_, 5)(0)) {
    for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
      for (int32_t i = batch.sequence_start[s] + 1; i < batch.sequence_start[s + 1]; ++i) {
        EXPECT_LT(batch.positions[static_cast<size_t>(i - 1)], batch.positions[static_cast<size_t>(i)]);
      }
    }
    seen.insert(batch.positions.begin(), batch.positions.end());
  }
  EXPECT_LT(*seen.rbegin(), 64);
  EXPECT_GT(*seen.rbegin(), 48);
}

TEST_F(SftSamples, AnEpochHasEveryConversationOnce) {
  config_.conversations = Write(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})"
                                "\n"
                                R"({"messages":[{"role":"user","content":"c"},{"role":"assistant","content":"d"}]})"
                                "\n"
                                R"({"messages":[{"role":"user","content":"e"},{"role":"assistant","content":"f"}]})"
                                "\n");
  config_.train.batch_tokens = 1;  // one conversation a step
  const StepBatches batches = ConversationBatches(config_, model_, tokenizer_, 5);
  std::set<std::string> seen;
  for (int64_t step = 0; step < 3; ++step) seen.insert(Texts(batches(step)).front());
  EXPECT_EQ(seen.size(), 3u);
}

TEST_F(SftSamples, WhatDoesNotFitIsRefused) {
  config_.conversations = Write(R"({"messages":[{"role":"user","content":")" + std::string(100, 'x') +
                                R"("},{"role":"assistant","content":"b"}]})"
                                "\n");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ConversationBatches(config_, model_, tokenizer_, 5); }),
                  "only 64 positions");
  config_.task = "additoin";
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { ProblemBatches(config_, model_, tokenizer_, options_, 5); }),
                  "did you mean \"addition\"");
  config_.task = "addition";
  config_.highest_level = 9999;
  ExpectError(ExitCode::kUsage, [&] { ProblemBatches(config_, model_, tokenizer_, options_, 5); });
}

}  // namespace
}  // namespace sputnik
