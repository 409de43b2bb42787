#include "app/eval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/verb_on_model.h"

namespace sputnik {
namespace {

// A model that says "7" to everything, and problems on two levels: on the first all answers are 7, on the second none.
class EvalVerb : public VerbOnModel {
 protected:
  EvalVerb() : VerbOnModel("eval") {
    MakeParrotFolder(folder_.path(), "7");
    std::string lines;
    for (int i = 0; i < 400; ++i) {
      lines += fmt::format("{{\"prompt\": \"number {}?\", \"answer\": \"{}\", \"level\": {}}}\n", i, i % 2 == 0 ? 7 : 8,
                           i % 2 + 1);
    }
    problems_ = Write("problems.jsonl", lines);
  }
  std::string Write(const std::string& name, std::string_view text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::vector<Json> OnProblems(std::vector<std::string> more) {
    more.insert(more.begin(), {"--task", "jsonl", "--set", "file=" + problems_, "--json"});
    return Lines(more);
  }

  std::string problems_;
};

TEST_F(EvalVerb, TellsTheShareOfRightAnswersByLevel) {
  const std::vector<Json> levels = OnProblems({"--problems", "10"});
  ASSERT_EQ(levels.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(levels[i]["task"], "jsonl");
    EXPECT_EQ(levels[i]["split"], "held_out");
    EXPECT_EQ(levels[i]["level"], i + 1);
    EXPECT_EQ(levels[i]["pass_at_1"], i == 0 ? 1 : 0);
    EXPECT_EQ(levels[i]["n"], 10);
    EXPECT_EQ(levels[i]["k"], 1);
    EXPECT_EQ(levels[i]["mean_tokens"], 2);
    EXPECT_EQ(levels[i]["temperature"], 0);
  }
  // Wilson's interval for 10 of 10.
  EXPECT_NEAR(levels[0]["ci95"][0].get<double>(), 10 / (10 + 1.959964 * 1.959964), 1e-5);
  EXPECT_NEAR(levels[0]["ci95"][1].get<double>(), 1, 1e-12);
}

TEST_F(EvalVerb, FlagsChooseLevelsSplitAndSamples) {
  EXPECT_EQ(OnProblems({"--level", "2", "--problems", "3"}).size(), 1u);
  EXPECT_EQ(OnProblems({"--levels", "1-2", "--problems", "3"}).size(), 2u);
  const Json train = OnProblems({"--levels", "2-2", "--problems", "3", "--split", "train", "--samples", "4"})[0];
  EXPECT_EQ(train["level"], 2);
  EXPECT_EQ(train["split"], "train");
  EXPECT_EQ(train["k"], 4);
  EXPECT_EQ(train["temperature"], 1) << "several samples at temperature 0 would all be the same";
  EXPECT_EQ(OnProblems({"--levels", "1", "--problems", "2", "--seed", "9"})[0]["seed"], 9);
  EXPECT_EQ(OnProblems({"--level", "1", "--problems", "2", "--max-tokens", "1"})[0]["mean_tokens"], 1);
}

TEST_F(EvalVerb, TheTableSaysTheSame) {
  const std::string table =
      Output({"--task", "jsonl", "--set", "task.file=" + problems_, "--problems", "10", "--samples", "2"});
  std::istringstream in(table);
  std::string head, first, second, more;
  std::getline(in, head);
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_FALSE(std::getline(in, more)) << more;
  for (const char* column : {"task", "split", "level", "problems", "pass@1", "95% interval", "pass@2", "tokens"}) {
    EXPECT_MENTIONS(head, column);
  }
  EXPECT_EQ(head.size(), first.size()) << table;
  EXPECT_EQ(head.size(), second.size()) << table;
  EXPECT_MENTIONS(first, "1.000  [0.722, 1.000]");
  EXPECT_MENTIONS(second, "0.000  [0.000, 0.278]");
  EXPECT_EQ(head.find("pass@1") + 6, first.find("1.000") + 5) << table;
}

TEST_F(EvalVerb, AFileWithFewerProblemsIsAskedOnceAndThatIsSaid) {
  const std::vector<std::string> arguments = {"eval",  "--model",           folder_.path(), "--task", "jsonl",
                                              "--set", "file=" + problems_, "--level",      "1",      "--problems",
                                              "1000"};
  std::vector<std::string> as_json = arguments;
  as_json.push_back("--json");
  const Outcome result = RunProgram(as_json), table = RunProgram(arguments);
  const Json level = ParseJsonLines(result.out).at(0);
  const auto n = level["n"].get<int64_t>();
  EXPECT_GT(n, 5);
  EXPECT_LT(n, 60) << "about a tenth of 200";
  EXPECT_EQ(level["pass_at_1"], 1);
  const auto count = static_cast<double>(n);
  EXPECT_NEAR(level["ci95"][0].get<double>(), count / (count + 1.959964 * 1.959964), 1e-5) << "of what was asked";
  EXPECT_MENTIONS(result.err, fmt::format("level 1 has {} held-out problems, fewer than the 1000 asked for", n));
  EXPECT_MENTIONS(table.out, fmt::format("held_out      1 {:>8}", n));
  const Outcome few = RunProgram({"eval", "--model", folder_.path(), "--task", "jsonl", "--set", "file=" + problems_,
                                  "--level", "1", "--problems", "5"});
  EXPECT_EQ(few.err.find("held-out problems"), few.err.npos) << few.err;
}

TEST_F(EvalVerb, SettingsReachTheTask) {
  const auto message = [&](const std::string& numbers) {
    return RunProgram({"eval", "--model", folder_.path(), "--task", "countdown", "--set", "numbers=" + numbers});
  };
  EXPECT_EQ(message("2").code, 0);
  EXPECT_MENTIONS(message("9").err, "task.numbers must be between 2 and 4, not 9");
  EXPECT_MENTIONS(message("x").err, "task.numbers");
  // "exact" wants the answer alone; the parrot then still says just that.
  EXPECT_EQ(OnProblems({"--set", "exact=true", "--level", "1", "--problems", "3"})[0]["pass_at_1"], 1);
}

TEST_F(EvalVerb, TextIsMeasuredInUnitsOfEveryTokenizer) {
  // Weights of zero: every one of the 265 tokens is equally likely.
  const std::unique_ptr<Decoder> decoder = LoadModel(folder_.path(), true);
  for (const Param& param : decoder->params().list()) {
    std::fill_n(param.tensor.as<float>(), param.spec.elements(), 0.f);
  }
  SaveModel(folder_.path(), *decoder);
  const std::string text = Write("text.txt", "caf\xc3\xa9 au lait");  // 13 bytes, 12 characters
  const Json json = Lines({"--text", text, "--json"}).at(0);
  const double nats = std::log(265.0);
  EXPECT_EQ(json["bytes"], 13);
  EXPECT_EQ(json["characters"], 12);
  EXPECT_EQ(json["tokens"], 14) << "each byte, and the end of the document";
  EXPECT_EQ(json["documents"], 1);
  EXPECT_NEAR(json["nats_per_token"].get<double>(), nats, 1e-5);
  EXPECT_NEAR(json["perplexity"].get<double>(), 265, 1e-2);
  EXPECT_NEAR(json["nats_per_character"].get<double>(), 13 * nats / 12, 1e-5);
  EXPECT_NEAR(json["bits_per_byte"].get<double>(), nats / std::log(2.0), 1e-5);
  EXPECT_FALSE(json.contains("bits_per_byte_ci95")) << "one stretch says nothing of others";
  const std::string table = Output({"--text", text});
  EXPECT_EQ(table.find("95%"), std::string::npos);
  EXPECT_MENTIONS(table, "perplexity");
  EXPECT_MENTIONS(table, "265.000");
}

TEST_F(EvalVerb, TextsHaveIntervals) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("Number {} of {}.\n%\n", i * i, std::string(i % 7, 'x'));
  const std::string file = Write("many.txt", text);
  const Json json = Lines({"--text", file, "--percent-separated", "--json"}).at(0);
  EXPECT_EQ(json["ci95_over"], "documents");
  for (const std::string name : {"nats_per_token", "bits_per_byte", "nats_per_character"}) {
    EXPECT_LT(json[name + "_ci95"][0], json[name]);
    EXPECT_GT(json[name + "_ci95"][1], json[name]);
  }
  EXPECT_MENTIONS(Output({"--text", file, "--percent-separated"}), "over documents");
  EXPECT_MENTIONS(Output({"--text", file, "--context", "16"}), "over stretches of 16 tokens");
}

TEST_F(EvalVerb, SeveralTextsAndWindows) {
  const std::string one = Write("one.txt", "one fish\n%\ntwo fish\n%\nred fish"), two = Write("two.txt", "blue fish");
  EXPECT_EQ(Lines({"--text", one, "--text", two, "--json"}).at(0)["documents"], 2);
  const Json json =
      Lines({"--text", one, "--text", two, "--percent-separated", "--context", "8", "--stride", "2", "--json"}).at(0);
  EXPECT_EQ(json["documents"], 4);
  EXPECT_EQ(json["context"], 8);
  EXPECT_EQ(json["stride"], 2);
}

TEST_F(EvalVerb, IdsThatOnlyTheModelHasAreWrongAnswersAndNoError) {
  const TemporaryFolder padded;
  MakeTinyFolder(padded.path(), 1, 2000);
  const Json json = Json::parse(OutputOf({"eval", "--model", padded.path(), "--task", "addition", "--level", "1",
                                          "--temperature", "1", "--problems", "5", "--json"}));
  EXPECT_EQ(json["pass_at_1"], 0);
  EXPECT_GT(json["mean_tokens"].get<double>(), 0);
}

TEST_F(EvalVerb, BothAtOnce) {
  const std::vector<Json> lines = OnProblems({"--level", "1", "--problems", "2", "--text", Write("t", "some text")});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].contains("pass_at_1"));
  EXPECT_TRUE(lines[1].contains("bits_per_byte"));
}

TEST_F(EvalVerb, FlagsThatMakeNoSenseAreNamed) {
  EXPECT_MENTIONS(Complaint(2, {}), "give --task NAME, --text FILE, or both");
  EXPECT_MENTIONS(Complaint(2, {"--task", "adition"}), "did you mean \"addition\"?");
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--levels", "0-3"}), "no level 0; its levels are 1 to");
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--levels", "1-9999"}), "no level 9999");
  for (const char* levels : {"3-1", "a", "1-", "1-2-3", "1,2"}) {
    EXPECT_MENTIONS(Complaint(2, {"--task", "addition", std::string("--levels=") + levels}),
                    "--levels must be LOW-HIGH");
  }
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--set", "revresed=true"}), "did you mean task.reversed?");
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--split", "heldout"}), "did you mean \"held_out\"?");
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--samples", "2", "--temperature", "0"}),
                  "all samples are the same");
  EXPECT_MENTIONS(Complaint(2, {"--task", "jsonl"}), "file");
  EXPECT_MENTIONS(Complaint(2, {"--text", problems_, "--problems", "5"}), "--problems is for a task");
  EXPECT_MENTIONS(Complaint(2, {"--task", "addition", "--context", "9"}), "--context is for a text");
  EXPECT_MENTIONS(Complaint(2, {"--text", problems_, "--context", "513"}), "expected 2 to 512");
  EXPECT_MENTIONS(Complaint(2, {"--text", problems_, "--context", "1"}), "expected 2 to 512");
  EXPECT_MENTIONS(Complaint(3, {"--text", folder_ / "gone"}), "gone");
  EXPECT_MENTIONS(Complaint(3, {"--text", Write("b", std::string_view("a\0b", 3))}), "binary");
  const std::string broken = Write("broken.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\n");
  EXPECT_MENTIONS(Complaint(3, {"--task", "jsonl", "--set", "file=" + broken}), "broken.jsonl:2");
  std::filesystem::remove(folder_ / "tokenizer.json");
  EXPECT_MENTIONS(Complaint(3, {"--task", "addition"}), "no tokenizer.json here");
}

}  // namespace
}  // namespace sputnik
