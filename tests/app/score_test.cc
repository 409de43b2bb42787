#include "app/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/json.h"
#include "engine/request.h"
#include "kernel/backend.h"
#include "model/checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/verb_on_model.h"

namespace sputnik {
namespace {

class ScoreVerb : public VerbOnModel {
 protected:
  ScoreVerb() : VerbOnModel("score") {}
  std::vector<Json> Scores(const std::string& input, const std::vector<std::string>& more = {}) {
    return Lines(more, input);
  }
  std::string Message(const std::string& input) { return Complaint(3, {}, input); }

  Tokenizer tokenizer_ = MakeTinyFolder(folder_.path());
};

TEST_F(ScoreVerb, ScoresTextsAndTokensLineByLine) {
  const std::vector<int32_t> ids = tokenizer_.Encode("caf\xc3\xa9");
  const Json tokens = {{"tokens", ids}};
  const std::vector<Json> lines = Scores("{\"text\": \"caf\xc3\xa9\"}\n\n" + tokens.dump() + "\n{\"text\": \"a\"}");
  ASSERT_EQ(lines.size(), 3u) << "blank lines are passed over";
  EXPECT_EQ(lines[0]["tokens"], ids);
  EXPECT_EQ(lines[0], lines[1]);
  EXPECT_EQ(lines[2]["tokens"].size(), 1u);
  ASSERT_EQ(lines[0]["logprobs"].size(), ids.size());
  EXPECT_TRUE(lines[0]["logprobs"][0].is_null()) << "nothing precedes the first";
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_LT(lines[0]["logprobs"][i].get<double>(), 0);
  EXPECT_FALSE(lines[0].contains("top"));

  const std::string file = folder_ / "texts.jsonl";
  std::ofstream(file) << tokens.dump() << "\n";
  EXPECT_EQ(Lines({"--json", file}), std::vector<Json>{lines[0]});
  const Json with_bos = Scores("{\"text\": \"x\"}", {"--bos"})[0];
  EXPECT_EQ(with_bos["tokens"][0], tokenizer_.bos_id());
  EXPECT_EQ(with_bos["tokens"].size(), 2u);
}

TEST_F(ScoreVerb, PrintedNumbersReadBackToTheSameFloats) {
  const std::vector<int32_t> ids = tokenizer_.Encode("The quick brown fox jumps over the lazy dog.");
  const std::unique_ptr<Decoder> decoder = LoadModel(folder_.path(), false);
  ThreadPool pool(1);
  Scorer scorer(*decoder, {KernelsFor("cpu"), pool}, AttentionForm::kExpanded);
  const TokenScores scores = scorer.Score(ids, 3);
  const Json line = Scores(Json{{"tokens", ids}}.dump(), {"--top", "3"})[0];
  for (size_t i = 1; i < ids.size(); ++i) {
    const double read = line["logprobs"][i].get<double>();
    EXPECT_EQ(read, static_cast<double>(scores.logprobs[i])) << i;
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(line["top"][i][k][0], scores.top[i][k].first);
      EXPECT_EQ(line["top"][i][k][1].get<double>(), static_cast<double>(scores.top[i][k].second));
    }
  }
}

TEST_F(ScoreVerb, TheLikeliestTokensAreADistribution) {
  const Json line = Scores("{\"text\": \"abcd\"}", {"--top", "265"})[0];
  ASSERT_EQ(line["top"].size(), 4u);
  EXPECT_TRUE(line["top"][0].is_null());
  for (size_t i = 1; i < 4; ++i) {
    double sum = 0, last = 0;
    for (const Json& entry : line["top"][i]) {
      const double logprob = entry[1].get<double>();
      EXPECT_LE(logprob, last) << "likeliest first";
      last = logprob;
      sum += std::exp(logprob);
      if (entry[0] == line["tokens"][i]) {
        EXPECT_EQ(entry[1], line["logprobs"][i]);
      }
    }
    EXPECT_EQ(line["top"][i].size(), 265u);
    EXPECT_NEAR(sum, 1, 1e-4);
  }
}

TEST_F(ScoreVerb, NeitherThreadsNorTheReferenceChangeABit) {
  const std::string text = "{\"text\": \"The quick brown fox jumps over the lazy dog, and again it jumps.\"}";
  const std::vector<Json> one = Scores(text, {"--threads", "1"});
  EXPECT_EQ(Scores(text, {"--threads", "3", "--top", "0"}), one);
  EXPECT_EQ(Scores(text, {"--machine", "reference"}), one);
}

TEST_F(ScoreVerb, TheAbsorbedFormDiffersByRoundingAlone) {
  const std::string text = "{\"text\": \"The quick brown fox\"}";
  const Json expanded = Scores(text)[0]["logprobs"],
             absorbed = Scores(text, {"--attention", "absorbed"})[0]["logprobs"];
  for (size_t i = 1; i < expanded.size(); ++i) {
    EXPECT_NEAR(absorbed[i].get<double>(), expanded[i].get<double>(), 1e-4);
  }
}

TEST_F(ScoreVerb, BrokenLinesAreNamed) {
  const std::string good = "{\"text\": \"a\"}\n";
  const auto message = [&](const std::string& line) {
    const Outcome outcome = RunProgram({"score", "--model", model_}, good + line);
    EXPECT_EQ(outcome.code, 3);
    EXPECT_EQ(ParseJsonLines(outcome.out).size(), 1u) << "what came before is there";
    return outcome.err;
  };
  EXPECT_MENTIONS(message("{\"text\": \"b\n"), "standard input:2: not valid JSON");
  EXPECT_MENTIONS(message("\n{\"txt\": \"b\"}\n"), "standard input:3: expected an object such as {\"text\"");
  EXPECT_MENTIONS(message("[1]\n"), "standard input:2: expected an object");
  EXPECT_MENTIONS(message("{\"tokens\": [1, 265]}\n"), "standard input:2: token id 265");
  EXPECT_MENTIONS(message("{\"tokens\": [1, -2]}\n"), "standard input:2: -2 is no token id");
  const std::string file = folder_ / "x.jsonl";
  std::ofstream(file) << "{\n";
  EXPECT_MENTIONS(Complaint(3, {file}), file + ":1");
}

TEST_F(ScoreVerb, SequencesAsLongAsTheContextAndNoLonger) {
  const auto of_length = [](size_t n) { return Json{{"tokens", std::vector<int>(n, 20)}}.dump(); };
  EXPECT_EQ(Scores(of_length(128))[0]["logprobs"].size(), 128u);
  EXPECT_MENTIONS(Message(of_length(129)), "129 tokens are more than the model's context of 128");
  EXPECT_EQ(Scores("{\"tokens\": []}")[0]["logprobs"], Json::array());
}

TEST_F(ScoreVerb, TextNeedsATokenizerAndTokensDoNot) {
  std::filesystem::remove(folder_ / "tokenizer.json");
  EXPECT_EQ(Scores("{\"tokens\": [1, 2]}")[0]["logprobs"].size(), 2u);
  EXPECT_MENTIONS(Message("{\"text\": \"a\"}"), "no tokenizer.json here");
}

TEST_F(ScoreVerb, BrokenWeightsAreANumericError) {
  const std::unique_ptr<Decoder> decoder = LoadModel(folder_.path(), true);
  decoder->params().Get("lm_head.weight").as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  SaveModel(folder_.path(), *decoder);
  EXPECT_MENTIONS(Complaint(5, {}, "{\"tokens\": [1, 2]}"), "not finite");
}

TEST_F(ScoreVerb, ATokenizerOfAnotherModelIsRefused) {
  const TemporaryFolder other;
  MakeTinyFolder(other.path(), 1, 100);
  EXPECT_MENTIONS(MessageOf(3, {"score", "--model", other.path()}, "{\"text\": \"a\"}"), "do not belong together");
}

// More tokens than go through the model at once, so the cache carries over.
TEST(Scorer, ChunksDoNotShow) {
  ModelConfig config = TinyConfig();
  config.max_position_embeddings = 2000;
  Decoder decoder(config, DType::kF32, false);
  decoder.params().Initialise(config, 3);
  ThreadPool pool(2);
  const Machine machine{KernelsFor("cpu"), pool};
  const std::vector<int32_t> ids = RandomBatch(config, {1300}, 5).ids;
  Scorer scorer(decoder, machine, AttentionForm::kExpanded);
  const TokenScores scores = scorer.Score(ids, 1);

  Arena arena;
  Pass pass(machine, arena);
  Batch batch;
  batch.ids = ids;
  batch.positions = PositionsFor({.prompt = ids, .max_tokens = 0}, config, 2000);
  batch.sequence_start = {0, 1300};
  batch.targets.assign(ids.begin() + 1, ids.end());
  batch.targets.push_back(-1);
  const Tensor hidden = decoder.Forward(pass, batch).hidden;
  const LogProbs whole = decoder.TargetLogProbs(pass, hidden, batch.targets);
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_EQ(scores.logprobs[i], whole.logprob.as<float>()[i - 1]) << i;

  EXPECT_EQ(scorer.Score({ids.data(), 10}, 0).logprobs,
            std::vector<float>(scores.logprobs.begin(), scores.logprobs.begin() + 10))
      << "a scorer used before gives the same";
}

}  // namespace
}  // namespace sputnik
