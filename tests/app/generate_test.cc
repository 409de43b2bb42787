#include "app/generate.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden.h"
#include "tests/support/verb_on_model.h"
#include "text/chat.h"

namespace sputnik {
namespace {

class GenerateVerb : public VerbOnModel {
 protected:
  GenerateVerb() : VerbOnModel("generate") {}
  Json Made(std::vector<std::string> more) {
    more.push_back("--json");
    return Json::parse(Output(more));
  }

  Tokenizer tokenizer_ = MakeTinyFolder(folder_.path());
};

TEST_F(GenerateVerb, TheJsonFormHoldsWhatWasMade) {
  const Json made = Made({"--prompt", "caf\xc3\xa9", "--max-tokens", "12", "--seed", "5"});
  const auto tokens = made["tokens"].get<std::vector<int32_t>>();
  EXPECT_EQ(made["prompt_tokens"], 5);
  EXPECT_EQ(made["sample"], 0);
  EXPECT_EQ(made["logprobs"].size(), tokens.size());
  for (const Json& logprob : made["logprobs"]) EXPECT_LT(logprob.get<double>(), 0);
  const bool stopped = tokens.back() == tokenizer_.eos_id();
  EXPECT_EQ(made["finish_reason"], stopped ? "stop" : "length");
  EXPECT_EQ(tokens.size() == 12, !stopped);
  EXPECT_TRUE(made["text"].is_string());
  EXPECT_FALSE(made.contains("top"));
}

TEST_F(GenerateVerb, TheSameSeedGivesTheSameText) {
  const std::vector<std::string> flags = {"--prompt", "once", "--max-tokens", "20", "--ignore-eos"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), flags.begin(), flags.end());
    return Made(std::move(more));
  };
  const Json made = with({"--seed", "1"});
  EXPECT_EQ(with({"--seed", "1"}), made);
  EXPECT_EQ(with({"--seed", "1", "--threads", "1"}), made);
  EXPECT_NE(with({"--seed", "2"})["tokens"], made["tokens"]);
  EXPECT_EQ(with({}), with({"--seed", "0"}));
}

TEST_F(GenerateVerb, ScoreGivesTheSameBitsForTheSameTokens) {
  for (const std::string form : {"expanded", "absorbed"}) {
    const std::vector<int32_t> prompt = tokenizer_.Encode("One, two, ");
    const Json made = Made({"--tokens", Json(prompt).dump(), "--max-tokens", "40", "--seed", "3", "--ignore-eos",
                            "--top", "4", "--attention", form});
    Json whole = {{"tokens", prompt}};
    for (const Json& token : made["tokens"]) whole["tokens"].push_back(token);
    const Json scored =
        Json::parse(OutputOf({"score", "--model", model_, "--top", "4", "--attention", form}, whole.dump()));
    ASSERT_EQ(made["tokens"].size(), 40u);
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(made["logprobs"][i], scored["logprobs"][prompt.size() + i]) << form << " " << i;
      EXPECT_EQ(made["top"][i], scored["top"][prompt.size() + i]) << form << " " << i;
    }
  }
}

// Folders of every family, as transformers wrote them, and the tokens that transformers decodes.
TEST(GenerateFamilies, GreedyTokensAreThoseOfTransformers) {
  for (const char* name : {"v2_greedy", "v3_yarn_sharded", "qwen2_tied", "qwen2_yarn_bf16_sharded", "qwen3_tied",
                           "qwen3_moe", "llama_llama3", "llama_biases"}) {
    SCOPED_TRACE(name);
    const std::filesystem::path folder = GoldenFolder() / "model" / name;
    const SafetensorsFile golden(folder / "golden.safetensors");
    const std::vector<int32_t> ids = StoredValues<int32_t>(golden, "greedy");
    const int32_t prompt = StoredValues<int32_t>(golden, "prompt_length")[0];
    const std::vector<int32_t> start(ids.begin(), ids.begin() + prompt), answer(ids.begin() + prompt, ids.end());
    const Json made =
        Json::parse(OutputOf({"generate", "--model", folder.string(), "--tokens", Json(start).dump(), "--max-tokens",
                              std::to_string(answer.size()), "--temperature", "0", "--ignore-eos", "--json"}));
    EXPECT_EQ(made["tokens"].get<std::vector<int32_t>>(), answer);
  }
}

TEST_F(GenerateVerb, AtTemperatureZeroTheLikeliestTokenIsTaken) {
  const std::vector<int32_t> prompt = tokenizer_.Encode("abc");
  const Json made = Made({"--tokens", Json(prompt).dump(), "--max-tokens", "20", "--temperature", "0", "--ignore-eos"});
  Json whole = {{"tokens", prompt}};
  for (const Json& token : made["tokens"]) whole["tokens"].push_back(token);
  const Json scored = Json::parse(OutputOf({"score", "--model", model_, "--top", "1"}, whole.dump()));
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(made["tokens"][i], scored["top"][prompt.size() + i][0][0]) << i;
  EXPECT_EQ(Made({"--prompt", "abc", "--max-tokens", "20", "--top-k", "1", "--ignore-eos"})["tokens"], made["tokens"]);
}

TEST_F(GenerateVerb, SamplesComeInTheirOrderAndDiffer) {
  const std::vector<std::string> flags = {"--prompt", "a", "--max-tokens", "8", "--ignore-eos", "--samples", "3"};
  std::vector<std::string> json_flags = flags;
  json_flags.push_back("--json");
  const std::vector<Json> made = Lines(json_flags);
  ASSERT_EQ(made.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(made[i]["sample"], i);
  EXPECT_NE(made[0]["tokens"], made[1]["tokens"]);
  EXPECT_EQ(made[0]["tokens"], Made({"--prompt", "a", "--max-tokens", "8", "--ignore-eos"})["tokens"])
      << "the first sample is the one made alone";
}

TEST_F(GenerateVerb, PromptsComeFromFlagsFilesAndStandardInput) {
  const Json made = Made({"--prompt", "one\ntwo", "--max-tokens", "5"});
  const std::string file = folder_ / "prompt.txt";
  WriteFileAtomically(file, "one\ntwo");
  EXPECT_EQ(Made({"--prompt-file", file, "--max-tokens", "5"}), made);
  EXPECT_EQ(Json::parse(Output({"--prompt-file", "-", "--max-tokens", "5", "--json"}, "one\ntwo")), made);
  EXPECT_EQ(Made({"--tokens", Json(tokenizer_.Encode("one\ntwo")).dump(), "--max-tokens", "5"}), made);
  EXPECT_EQ(Made({"--prompt", "x", "--bos", "--max-tokens", "1"})["prompt_tokens"], 2);
  const Message message{"user", "x"};
  EXPECT_EQ(Made({"--prompt", "x", "--chat", "--max-tokens", "1"})["prompt_tokens"],
            EncodeChat(tokenizer_, {&message, 1}, true).ids.size());
  EXPECT_EQ(Made({"--prompt", "-5", "--max-tokens", "1"})["prompt_tokens"], 2) << "a minus sign may start a value";
}

TEST_F(GenerateVerb, NothingIsMadeOfNothing) {
  const Json made = Made({"--prompt", "a", "--max-tokens", "0"});
  EXPECT_EQ(made["tokens"], Json::array());
  EXPECT_EQ(made["text"], "");
  EXPECT_EQ(made["finish_reason"], "length");
}

TEST_F(GenerateVerb, TheContextIsTheEnd) {
  const Json made = Made({"--prompt", std::string(120, 'a'), "--max-tokens", "1000", "--ignore-eos"});
  EXPECT_EQ(made["tokens"].size(), 8u);
  EXPECT_EQ(made["finish_reason"], "length");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", std::string(129, 'a')}), "shorten it");
}

TEST_F(GenerateVerb, WithoutATokenizerIdsAreShown) {
  std::filesystem::remove(folder_ / "tokenizer.json");
  const Json made = Made({"--tokens", "[10, 11]", "--max-tokens", "3", "--ignore-eos"});
  EXPECT_TRUE(made["text"].is_null());
  std::string ids;
  for (const Json& token : made["tokens"]) ids += fmt::format("{}{}", ids.empty() ? "" : " ", token.dump());
  EXPECT_EQ(Output({"--tokens", "[10, 11]", "--max-tokens", "3", "--ignore-eos"}), ids + "\n");
  EXPECT_MENTIONS(Complaint(3, {"--prompt", "a"}), "no tokenizer.json here");
}

TEST_F(GenerateVerb, FlagsThatMakeNoSenseAreNamed) {
  EXPECT_MENTIONS(Complaint(2, {}), "give one of --prompt, --prompt-file and --tokens");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--tokens", "[1]"}), "give one of");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", ""}), "the prompt is empty");
  EXPECT_MENTIONS(Complaint(2, {"--tokens", "[]"}), "the prompt is empty");
  EXPECT_MENTIONS(Complaint(3, {"--tokens", "[1, 2"}), "--tokens: not valid JSON");
  EXPECT_MENTIONS(Complaint(3, {"--tokens", "[265]"}), "--tokens: token id 265");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--temperature", "-1"}), "--temperature must be at least 0");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--temperature", "0.0001"}), "temperature is 0.0001");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--top-p", "1.5"}), "--top-p must be between 0 and 1");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--max-tokens", "-1"}), "--max-tokens");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--samples", "0"}), "--samples");
  EXPECT_MENTIONS(Complaint(2, {"--prompt", "a", "--seed", "-1"}), "--seed");
  EXPECT_MENTIONS(Complaint(2, {"--promt", "a"}), "did you mean --prompt?");
  EXPECT_MENTIONS(Complaint(3, {"--prompt-file", folder_ / "gone"}), "gone");
  EXPECT_MENTIONS(MessageOf(3, {"generate", "--model", folder_ / "gone", "--prompt", "a"}), "gone");
}

TEST(GenerateText, StreamsTextWithoutControlTokens) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "<think>m</think>caf\xc3\xa9!\n");
  const std::vector<std::string> flags = {"generate", "--model", folder.path(), "--chat", "--prompt", "hello"};
  EXPECT_EQ(OutputOf(flags), "<think>m</think>caf\xc3\xa9!\n\n");
  const Json made = Json::parse(OutputOf({"generate", "--model", folder.path(), "--chat", "--prompt", "x", "--json"}));
  EXPECT_EQ(made["text"], "<think>m</think>caf\xc3\xa9!\n");
  EXPECT_EQ(made["finish_reason"], "stop");
  EXPECT_EQ(made["tokens"].back(), 1) << "the end of sentence is among the tokens";
}

TEST(GenerateText, TheEndOfSentenceEndsItUnlessIgnored) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "ab");
  std::vector<std::string> flags = {"generate", "--model",      folder.path(), "--chat",        "--prompt", "x",
                                    "--json",   "--max-tokens", "6",           "--temperature", "0"};
  const Json made = Json::parse(OutputOf(flags));
  EXPECT_EQ(made["tokens"].size(), 3u);
  flags.push_back("--ignore-eos");
  const Json more = Json::parse(OutputOf(flags));
  EXPECT_EQ(more["tokens"].size(), 6u);
  EXPECT_EQ(more["tokens"][2], made["tokens"][2]);
  EXPECT_EQ(more["finish_reason"], "length");
}

TEST(GenerateText, AnAnswerCutInACharacterIsStillJson) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "\xc3\xa9");
  const Json made = Json::parse(
      OutputOf({"generate", "--model", folder.path(), "--chat", "--prompt", "x", "--max-tokens", "1", "--json"}));
  EXPECT_EQ(made["text"], "\xEF\xBF\xBD");
}

TEST(GenerateText, ControlCharactersDoNotReachATerminal) {
  const TemporaryFolder folder;
  MakeParrotFolder(folder.path(), "a\x1b[b");
  EXPECT_EQ(OutputOf({"generate", "--model", folder.path(), "--chat", "--prompt", "x"}), "a\x1b[b\n");
  Terminal terminal({"generate", "--quiet", "--model", folder.path(), "--chat", "--prompt", "x"});
  EXPECT_EQ(terminal.Await("b\r\n"), "a[b\r\n");
  EXPECT_EQ(terminal.Wait(), 0);
}

}  // namespace
}  // namespace sputnik
