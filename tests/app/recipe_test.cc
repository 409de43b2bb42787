#include "app/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

template <class Action>
void ExpectUsage(const std::string& part, Action&& action) {
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, action), part);
}

class RecipeTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& text) {
    const fs::path path = folder_ / "recipe.toml";
    std::ofstream(path) << text;
    return path;
  }
  // A recipe that is complete, with more lines.
  Recipe Read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return ReadRecipe(Write("[data]\ntext = [\"a.txt\"]\n" + text), overrides);
  }
  TemporaryFolder folder_;
};

TEST_F(RecipeTest, SettingsOverridesAndDefaultsMeet) {
  const Recipe recipe = Read("[sft]\nsteps = 7\nlr = 0.5\n[improve]\nsteps = 3\ngroup_size = 5\n",
                             {"sft.steps=9", "data.text=b.txt", "model.position_mode=none"});
  EXPECT_EQ(recipe.sft.train.steps, 9);
  EXPECT_EQ(recipe.sft.optimizer.lr, 0.5);
  EXPECT_EQ(recipe.improve.rl.steps, 3);
  EXPECT_EQ(recipe.improve.rl.group_size, 5);
  EXPECT_EQ(recipe.data.text, std::vector<std::string>{"b.txt"});
  EXPECT_EQ(recipe.model.position_mode, "none");
  EXPECT_EQ(recipe.pretrain.train.steps, TrainConfig().steps);
}

// What a recipe leaves out is the family's: a llama has no experts unless someone asks, and then it is refused later.
TEST_F(RecipeTest, DefaultsFollowTheModelType) {
  const std::string text = "[model]\nhidden_size = 48\nmodel_type = \"llama\"\n";
  const Recipe llama = Read(text, {"model.num_hidden_layers=3"});
  EXPECT_EQ(llama.model.n_routed_experts, 0);
  EXPECT_EQ(llama.model.num_key_value_heads, 2);
  EXPECT_EQ(llama.model.hidden_size, 48);
  EXPECT_EQ(llama.model.num_hidden_layers, 3);
  const Recipe moe = Read(text, {"model.model_type=qwen3_moe"});
  EXPECT_EQ(moe.model.topk_method, "greedy");
  EXPECT_GT(moe.model.n_routed_experts, 0);
  EXPECT_EQ(Read(text, {"model.n_routed_experts=4"}).model.n_routed_experts, 4);
  ExpectUsage("model_type", [&] { Read("[model]\nmodel_type = \"lama\"\n"); });
}

TEST_F(RecipeTest, TheResolvedRecipeReadsBackToTheSame) {
  Recipe recipe = Read("[improve]\nlr = 1e-4\nclip_high = 0.3\n[controls]\nrun = [\"random_reward\"]\n");
  const std::string resolved = WriteToml(recipe.Sections());
  const fs::path path = Write(resolved);
  Recipe again = ReadRecipe(path, {});
  EXPECT_EQ(WriteToml(again.Sections()), resolved);
  EXPECT_EQ(again.improve.optimizer.lr, 1e-4);
}

TEST_F(RecipeTest, MistakesAreNamedWithFileAndLineAndTheNearestKey) {
  const std::string file = (folder_ / "recipe.toml").string();
  ExpectUsage(file + ":4", [&] { Read("[sft]\nstepz = 3\n"); });
  ExpectUsage("did you mean sft.steps", [&] { Read("[sft]\nstepz = 3\n"); });
  ExpectUsage("did you mean", [&] { Read("[improv]\nsteps = 3\n"); });
  ExpectUsage("sft.steps must be a whole number", [&] { Read("[sft]\nsteps = \"many\"\n"); });
  ExpectUsage("sft.steps", [&] { Read("[sft]\nsteps = -1\n"); });
  ExpectUsage("did you mean \"cosine\"", [&] { Read("[sft]\nschedule = \"cosin\"\n"); });
  ExpectUsage("did you mean \"improve\"", [&] { Read("[run]\nstages = [\"improvee\"]\n"); });
  ExpectUsage("did you mean \"random_reward\"", [&] { Read("[controls]\nrun = [\"random\"]\n"); });
  // Keys of supervised stages have no meaning in reinforcement learning.
  ExpectUsage("improve.batch_tokens", [&] { Read("[improve]\nbatch_tokens = 64\n"); });
}

TEST_F(RecipeTest, SectionsThatContradictEachOtherAreRefused) {
  ExpectUsage("pretraining needs text", [&] { ReadRecipe(Write("[run]\nseed = 1\n"), {}); });
  ExpectUsage("run.from", [&] { ReadRecipe(Write("[run]\nstages = [\"sft\"]\n"), {}); });
  ExpectUsage("not a multiple", [&] { Read("[pretrain]\nbatch_tokens = 100\ncontext = 64\n"); });
  ExpectUsage("only 16 positions",
              [&] { Read("[model]\nmax_position_embeddings = 16\n[pretrain]\nbatch_tokens = 64\ncontext = 32\n"); });
  ExpectUsage("sft.lowest_level", [&] { Read("[sft]\nlowest_level = 9\n"); });
  ExpectUsage("improve.start_level", [&] { Read("[improve]\nstart_level = 9\n"); });
  ExpectUsage("eval.lowest_level", [&] { Read("[eval]\nlowest_level = 90\n"); });
}

TEST(Recipes, ThoseOfTheHouseAreValid) {
  int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(SPUTNIK_SOURCE_DIR) / "recipes")) {
    if (entry.path().extension() != ".toml") continue;
    ++count;
    EXPECT_NO_THROW(ReadRecipe(entry.path(), {"data.text=any.txt"})) << entry.path();
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace sputnik
