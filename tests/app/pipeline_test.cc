#include "app/pipeline.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "app/model_folder.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "model/adapter_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"
#include "tests/support/tiny_recipe.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::vector<Json> LinesOf(const fs::path& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

// What must be equal in two runs of the same recipe: weights and optimizer states of every stage's end, rollouts,
// results, and metrics without their times.
std::map<std::string, std::string> Substance(const fs::path& run) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    const std::string name = entry.path().filename().string(), path = entry.path().lexically_relative(run).string();
    if (!entry.is_regular_file()) continue;
    if (name == "model.safetensors" || name == "adapter_model.safetensors" || name == "optimizer.safetensors" ||
        path.starts_with("rollouts/") || path.starts_with("results/") || path.starts_with("tokenizer/") ||
        path.starts_with("data/")) {
      files[path] = ReadFile(entry.path());
    }
    if (name != "metrics.jsonl") continue;
    for (Json& line : LinesOf(entry.path())) {
      for (auto item = line.begin(); item != line.end();) item = IsTimingMetric(item.key()) ? line.erase(item) : ++item;
      files[path] += line.dump() + "\n";
    }
  }
  return files;
}

void ExpectSameSubstance(const fs::path& expected, const fs::path& run) {
  const auto a = Substance(expected), b = Substance(run);
  for (const auto& [name, content] : a) {
    ASSERT_TRUE(b.contains(name)) << name << " is missing after the interruption";
    EXPECT_TRUE(content == b.at(name)) << name << " differs";
  }
  EXPECT_EQ(a.size(), b.size());
}

class PipelineTest : public testing::Test {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kWarning); }

  bool Run(const fs::path& out, bool resume, const std::vector<std::string>& overrides = {}) {
    return Pipeline(ReadRecipe(recipe_, overrides), out, resume).Run();
  }

  TemporaryFolder folder_;
  fs::path recipe_ = WriteTinyRecipe(folder_.path());
};

TEST_F(PipelineTest, ARunLeavesAllItsParts) {
  const fs::path run = folder_ / "run";
  const double start = WallSeconds();
  ASSERT_TRUE(Run(run, false, {"controls.run=[\"random_reward\",\"continued_sft\",\"expert_iteration\"]"}));
  for (const char* part : {"recipe.toml", "metrics.jsonl", "ledger.json", "report.html", "summary.json",
                           "tokenizer/tokenizer.json", "rollouts/step-2.jsonl", "checkpoints/latest"}) {
    EXPECT_TRUE(fs::exists(run / part)) << part;
  }
  std::map<std::string, int64_t> steps;
  for (const Json& line : LinesOf(run / "metrics.jsonl")) {
    steps[line.at("stage")] = line.at("step");
    if (line.contains("train_rollout_logprob_abs_diff")) {
      EXPECT_EQ(line["train_rollout_logprob_abs_diff"], 0.0);
    }
  }
  EXPECT_EQ(steps, (std::map<std::string, int64_t>{{"improve", 10}, {"pretrain", 12}, {"sft", 12}}));
  // Evaluations and the rest have their own parts, and all parts together are no more than the time that passed.
  double seconds = 0;
  const Json figures = Json::parse(ReadFile(run / "summary.json"));
  for (const auto& [part, wall] : figures.at("seconds").items()) {
    EXPECT_GT(wall.get<double>(), 0) << part;
    seconds += wall.get<double>();
  }
  EXPECT_EQ(figures.at("seconds").size(), 8u);
  EXPECT_LE(seconds, WallSeconds() - start);
  // In each of sft, improve and three controls: two quick evaluations and one at the end, or two.
  EXPECT_GT(figures.at("tokens").at("evaluation").at("generated"), 5 * 2 * 4 * 2);
  EXPECT_GT(figures.at("flops").at("evaluation"), 0);
  const Json ledger = Json::parse(ReadFile(run / "ledger.json")).at("stages");
  for (const char* part : {"pretrain", "sft", "improve", "evaluation", "other"})
    EXPECT_TRUE(ledger.contains(part)) << part;
  EXPECT_FALSE(ledger.contains("control_random"));
  std::set<std::string> stages;
  const Json summary = Json::parse(ReadFile(run / "summary.json"));  // must outlive the loop over a part of it
  for (const Json& result : summary.at("results")) stages.insert(result.at("stage"));
  EXPECT_EQ(stages, (std::set<std::string>{"sft", "improve", "control_random", "control_continued_sft",
                                           "control_expert_iteration"}));
  const std::string report = ReadFile(run / "report.html");
  for (const char* stage : {"Pretraining", "Fine-tuning", "Improvement"}) {
    EXPECT_TRUE(report.find(std::string("<figcaption>") + stage + ", layer 1") != report.npos) << stage;
  }
  // All controls start where improve started: their first round is drawn from the same weights.
  const auto first_reward = [](const fs::path& metrics) { return LinesOf(metrics).front().at("sampled_logprob"); };
  for (const Json& line : LinesOf(run / "metrics.jsonl")) {
    if (line.at("stage") != "improve") continue;
    EXPECT_EQ(line.at("sampled_logprob"), first_reward(run / "controls/random_reward/metrics.jsonl"));
    break;
  }
}

// Pretrained as another family than DeepSeek's, and taught again from the folder that this left.
TEST_F(PipelineTest, OtherFamiliesGoThroughEveryStage) {
  std::string text = ReadFile(recipe_);
  const size_t begin = text.find("[model]"), end = text.find("[pretrain]");
  text.replace(begin, end - begin,
               "[model]\nmodel_type = \"qwen3_moe\"\nhidden_size = 16\nintermediate_size = 32\n"
               "moe_intermediate_size = 16\nnum_hidden_layers = 2\nnum_attention_heads = 4\nhead_dim = 8\n"
               "n_routed_experts = 4\nmlp_only_layers = [0]\nmax_position_embeddings = 48\n");
  WriteFileAtomically(recipe_, text);
  const fs::path run = folder_ / "run", again = folder_ / "again";
  const std::vector<std::string> short_stages = {"pretrain.steps=6", "sft.steps=6", "improve.steps=3"};
  ASSERT_TRUE(Run(run, false, short_stages));
  std::vector<std::string> from_there = short_stages;
  from_there.insert(from_there.end(), {"run.from=" + run.string(), "run.stages=[\"sft\", \"improve\"]"});
  ASSERT_TRUE(Run(again, false, from_there));
  int compared = 0;
  for (const fs::path& folder : {run, again}) {
    for (const Json& line : LinesOf(folder / "metrics.jsonl")) {
      if (!line.contains("train_rollout_logprob_abs_diff")) continue;
      EXPECT_EQ(line["train_rollout_logprob_abs_diff"], 0.0);
      ++compared;
    }
    const std::string latest = ReadFile(folder / "checkpoints/latest");
    const fs::path last = folder / "checkpoints" / latest.substr(0, latest.find_last_not_of(" \n") + 1);
    EXPECT_EQ(ReadJsonFile(last / "config.json").at("architectures").at(0), "Qwen3MoeForCausalLM");
  }
  EXPECT_GE(compared, 4);
}

TEST_F(PipelineTest, AFinishedRunResumesToNothing) {
  const fs::path run = folder_ / "run";
  ASSERT_TRUE(Run(run, false));
  const auto before = Substance(run);
  const Json ledger = Json::parse(ReadFile(run / "ledger.json"));
  ASSERT_TRUE(Run(run, true));
  EXPECT_TRUE(before == Substance(run));
  const Json again = Json::parse(ReadFile(run / "ledger.json"));
  for (const char* figure : {"wall_seconds", "generated_tokens"}) {
    const Json before_it = ledger.at("stages").at("evaluation").at(figure);
    EXPECT_EQ(again.at("stages").at("evaluation").at(figure), before_it) << "not lost, not done again";
  }
}

// Runs the program and kills it once metrics.jsonl has grown to `bytes`.
void KillAt(const std::vector<std::string>& arguments, const fs::path& metrics, uintmax_t bytes) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    BecomeProgram(arguments);
  }
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    std::error_code error;
    if (const uintmax_t size = fs::file_size(metrics, error); !error && size >= bytes) ::kill(child, SIGKILL);
    ::usleep(500);
  }
}

TEST_F(PipelineTest, ARunKilledAnywhereEndsTheSame) {
  const fs::path whole = folder_ / "whole", cut = folder_ / "cut";
  ASSERT_TRUE(Run(whole, false));
  const uintmax_t bytes = fs::file_size(whole / "metrics.jsonl");
  // Killed again and again on the way: each life gets a little further than the one before.
  for (const double share : {0.1, 0.3, 0.5, 0.7, 0.95}) {
    std::vector<std::string> arguments = {"run", recipe_.string(), "--out", cut.string(), "--quiet"};
    if (fs::exists(cut / "metrics.jsonl")) arguments.push_back("--resume");
    KillAt(arguments, cut / "metrics.jsonl", static_cast<uintmax_t>(share * static_cast<double>(bytes)));
  }
  ASSERT_TRUE(Run(cut, true));
  ExpectSameSubstance(whole, cut);
}

// Fine-tuning and reinforcement learning of an adapter on what pretraining left: the base is not written again, the
// same path samples and trains, and the run is opened by its folder.
TEST_F(PipelineTest, WithLoraOnlyAnAdapterLearns) {
  const std::vector<std::string> lora = {"lora.rank=3", "improve.kl_weight=0.01", "controls.run=[\"random_reward\"]"};
  const fs::path run = folder_ / "run";
  ASSERT_TRUE(Run(run, false, lora));
  int64_t rounds = 0;
  for (const fs::path& course : {run, run / "controls" / "random_reward"}) {  // the second learns something
    for (const Json& line : LinesOf(course / "metrics.jsonl")) {
      if (!line.contains("train_rollout_logprob_abs_diff")) continue;
      EXPECT_EQ(line["train_rollout_logprob_abs_diff"], 0.0);
      ++rounds;
    }
  }
  EXPECT_GT(rounds, 10);
  const fs::path end = run / "checkpoints" / "step-34", pretrained = run / "checkpoints" / "step-12";
  EXPECT_FALSE(fs::exists(end / "model.safetensors"));
  EXPECT_TRUE(fs::exists(pretrained / "model.safetensors"));
  EXPECT_EQ(AdapterBase(end), fs::absolute(pretrained));
  const ModelFolder opened = OpenModelFolder(run);
  ASSERT_NE(opened.decoder->adapter(), nullptr);
  EXPECT_TRUE(opened.tokenizer);
  double moved = 0;
  for (const Param& param : opened.decoder->adapter()->params().list()) {
    if (!param.spec.name.ends_with("lora_B.weight")) continue;
    for (const float value : param.tensor.span<float>()) moved = std::max(moved, std::abs(static_cast<double>(value)));
  }
  EXPECT_GT(moved, 0);
  EXPECT_TRUE(fs::exists(run / "results" / "control_random.jsonl"));
  // It goes on where it ended: another run, on its adapter.
  ASSERT_TRUE(Run(folder_ / "more", false, {"run.stages=[\"improve\"]", "run.from=" + run.string()}));
  EXPECT_EQ(AdapterBase(folder_ / "more" / "checkpoints" / "step-10"), fs::absolute(pretrained));
}

TEST_F(PipelineTest, ALoraRunKilledAnywhereEndsTheSame) {
  const fs::path whole = folder_ / "whole", cut = folder_ / "cut";
  ASSERT_TRUE(Run(whole, false, {"lora.rank=2"}));
  const uintmax_t bytes = fs::file_size(whole / "metrics.jsonl");
  for (const double share : {0.5, 0.8}) {
    std::vector<std::string> arguments = {"run",     recipe_.string(), "--out",      cut.string(),
                                          "--quiet", "--set",          "lora.rank=2"};
    if (fs::exists(cut / "metrics.jsonl")) arguments.push_back("--resume");
    KillAt(arguments, cut / "metrics.jsonl", static_cast<uintmax_t>(share * static_cast<double>(bytes)));
  }
  ASSERT_TRUE(Run(cut, true, {"lora.rank=2"}));
  // The adapter's base lies in either run's own folder; all else is equal.
  ExpectSameSubstance(whole, cut);
}

TEST_F(PipelineTest, ThreadsChangeNothing) {
  ASSERT_TRUE(Run(folder_ / "one", false, {"run.threads=1"}));
  ASSERT_TRUE(Run(folder_ / "two", false, {"run.threads=2"}));
  ExpectSameSubstance(folder_ / "one", folder_ / "two");
}

// A word of the held-out text alone must not have found its way into the vocabulary.
TEST_F(PipelineTest, TheTokenizerDoesNotKnowTheHeldOutText) {
  std::ofstream prose(folder_ / "prose.txt", std::ios::app);
  for (int i = 0; i < 40; ++i) prose << "zqzqzq zqzqzq zqzqzq zqzqzq zqzqzq zqzqzq zqzqzq\n%\n";
  prose.close();
  const auto knows = [&](const std::string& name, const std::string& fraction) {
    EXPECT_TRUE(Run(folder_ / name, false,
                    {"data.held_out_fraction=" + fraction, "run.stages=[\"pretrain\"]", "pretrain.steps=1"}));
    return ReadFile(folder_ / name / "tokenizer/tokenizer.json").find("zq") != std::string::npos;
  };
  EXPECT_TRUE(knows("all", "0"));
  EXPECT_FALSE(knows("held_out", "0.3"));
}

TEST_F(PipelineTest, WhatCannotWorkIsSaidBeforeAnythingRuns) {
  const auto refused = [&](ExitCode code, const std::string& part, const std::vector<std::string>& overrides) {
    EXPECT_MENTIONS(ExpectError(code, [&] { Run(folder_ / "run", false, overrides); }), part);
    EXPECT_FALSE(fs::exists(folder_ / "run")) << part;
  };
  refused(ExitCode::kUsage, "did you mean \"addition\"", {"improve.task=adition"});
  refused(ExitCode::kUsage, "600", {"improve.max_level=600"});
  refused(ExitCode::kUsage, "did you mean \"o_proj\"", {"lora.rank=2", "lora.targets=[\"o_prj\"]"});
  refused(ExitCode::kUsage, "lora.rank", {"lora.rank=-1"});
  refused(ExitCode::kUsage, "num_experts_per_tok", {"model.num_experts_per_tok=9"});
  refused(ExitCode::kUsage, "n_group", {"model.n_group=3"});
  refused(ExitCode::kBadInput, "chats.jsonl", {"sft.conversations=chats.jsonl"});
}

TEST_F(PipelineTest, OtherFilesInTheFolderAreLeftAlone) {
  const fs::path run = folder_ / "run";
  for (const char* part : {"tokenizer", "data", "results", "checkpoints-of-mine"}) {
    fs::create_directories(run / part);
    std::ofstream(run / part / "precious.txt") << part;
  }
  ASSERT_TRUE(Run(run, false));
  for (const char* part : {"tokenizer", "data", "results", "checkpoints-of-mine"}) {
    EXPECT_EQ(ReadFile(run / part / "precious.txt"), part);
  }
}

TEST_F(PipelineTest, AStartThatFailedLeavesTheFolderFree) {
  // The tokenizer comes out, and then the text is too short to hold a part of it out.
  std::ofstream(folder_ / "bad.txt") << "Another text.\n";
  const std::string bad = "data.text=" + (folder_ / "bad.txt").string();
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { Run(folder_ / "run", false, {bad}); }), "too few");
  EXPECT_TRUE(Run(folder_ / "run", false, {"run.stages=[\"pretrain\"]"}));
  // With the tokenizer of its own text, not what a start with another text may have left.
  EXPECT_TRUE(Run(folder_ / "clean", false, {"run.stages=[\"pretrain\"]"}));
  ExpectSameSubstance(folder_ / "clean", folder_ / "run");
  // Now it holds a run, and another one is refused without touching it.
  const auto before = Substance(folder_ / "run");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { Run(folder_ / "run", false); }), "--resume");
  EXPECT_TRUE(before == Substance(folder_ / "run"));
}

}  // namespace
}  // namespace sputnik
