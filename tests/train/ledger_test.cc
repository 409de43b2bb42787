#include "train/ledger.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

TEST(Ledger, AddsStagesUpAtTheRecipesPrices) {
  const TemporaryFolder folder;
  Ledger ledger({.watts_per_core = 10, .price_per_kwh = 0.5, .price_per_core_hour = 0.1, .currency = "EUR"}, 1e9);
  ledger.stage("pretrain") = {.trained_tokens = 100, .flops = 4e9, .wall_seconds = 8, .core_seconds = 7200};
  ledger.stage("improve") = {
      .trained_tokens = 5, .generated_tokens = 50, .flops = 1e9, .wall_seconds = 2, .core_seconds = 3600};
  ledger.Save(folder / "ledger.json");
  const Json json = ReadJsonFile(folder / "ledger.json"), total = json["total"];
  EXPECT_EQ(json["stages"]["pretrain"]["peak_share"], 0.5);
  EXPECT_EQ(total["trained_tokens"], 105);
  EXPECT_EQ(total["generated_tokens"], 50);
  EXPECT_EQ(total["peak_share"], 0.5);
  EXPECT_NEAR(total["energy_kwh"].get<double>(), 3 * 0.01, 1e-12);  // three core-hours at 10 W
  EXPECT_NEAR(total["energy_cost"].get<double>(), 3 * 0.01 * 0.5, 1e-12);
  EXPECT_NEAR(total["core_cost"].get<double>(), 0.3, 1e-12);
  EXPECT_EQ(total["currency"], "EUR");
}

TEST(Ledger, WithoutAMeasuredPeakThereIsNoShare) {
  const TemporaryFolder folder;
  Ledger ledger({}, 0);
  ledger.stage("sft") = {.flops = 1, .wall_seconds = 1};
  ledger.Save(folder / "ledger.json");
  EXPECT_FALSE(ReadJsonFile(folder / "ledger.json")["stages"]["sft"].contains("peak_share"));
}

TEST(Ledger, LoadsWhatItSavedExactly) {
  const TemporaryFolder folder;
  Ledger ledger({}, 3e11);
  ledger.stage("a") = {1, 2, 1e18 / 3, 0.1, 1.0 / 3};
  ledger.stage("b") = {3, 4, 5, 6, 7};
  ledger.Save(folder / "one.json");
  Ledger again({}, 3e11);
  again.Load(folder / "one.json");
  again.Save(folder / "two.json");
  EXPECT_EQ(ReadFile(folder / "one.json"), ReadFile(folder / "two.json"));
}

TEST(Ledger, AFileWithAWrongTypeIsNamed) {
  const TemporaryFolder folder;
  for (const char* text : {R"({"stages": {"a": {"flops": "many"}}})", R"({"stages": {"a": 3}})"}) {
    std::ofstream(folder / "ledger.json") << text;
    Ledger ledger({}, 0);
    const std::string message = ExpectError(ExitCode::kBadInput, [&] { ledger.Load(folder / "ledger.json"); });
    EXPECT_MENTIONS(message, "ledger.json");
  }
}

// Whatever is booked in between, and to which part: all parts together are the time from start to end.
TEST(Ledger, PartsAddUpToTheTimeThatPassed) {
  const auto now = [] { return std::pair(WallSeconds(), ProcessorSeconds()); };
  const auto before = now();
  Ledger ledger({}, 0);
  const auto made = now();
  const auto work = [] {
    for (const double start = ProcessorSeconds(); ProcessorSeconds() < start + 0.004;) {
    }
  };
  for (const char* part : {"other", "sft", "evaluation", "sft"}) {
    work();
    ledger.Book(part);
  }
  const auto ending = now();
  ledger.Book("other");
  const auto ended = now();
  double wall = 0, core = 0;
  for (const auto& [name, cost] : ledger.stages()) {
    wall += cost.wall_seconds;
    core += cost.core_seconds;
  }
  constexpr double kRounding = 1e-6;
  EXPECT_GE(wall, ending.first - made.first - kRounding);
  EXPECT_LE(wall, ended.first - before.first + kRounding);
  EXPECT_GE(core, ending.second - made.second - kRounding);
  EXPECT_LE(core, ended.second - before.second + kRounding);
  EXPECT_GE(ledger.stage("sft").core_seconds, 0.008);
  EXPECT_GE(ledger.stage("evaluation").wall_seconds, 0.004);
}

TEST(Ledger, SkippedTimeIsNobodys) {
  Ledger ledger({}, 0);
  for (const double start = WallSeconds(); WallSeconds() < start + 0.02;) {
  }
  const double skipped = WallSeconds();
  ledger.Skip();
  ledger.Book("other");
  EXPECT_LE(ledger.stage("other").wall_seconds, WallSeconds() - skipped);
}

TEST(Ledger, NamesTheCheckpointItGoesWith) {
  const TemporaryFolder folder;
  Ledger ledger({}, 0);
  EXPECT_EQ(Ledger::CheckpointOf(folder / "ledger.json"), "");
  ledger.stage("sft").trained_tokens = 1;
  ledger.Save(folder / "ledger.json");
  EXPECT_EQ(Ledger::CheckpointOf(folder / "ledger.json"), "");
  ledger.Save(folder / "ledger.json", "step-3");
  EXPECT_EQ(Ledger::CheckpointOf(folder / "ledger.json"), "step-3");
  for (const char* text : {"", "{", "[]", R"({"checkpoint": "step-3"})", R"({"checkpoint": 3, "stages": {}})"}) {
    std::ofstream(folder / "ledger.json") << text;
    EXPECT_EQ(Ledger::CheckpointOf(folder / "ledger.json"), "") << text;
  }
}

// Products counted one by one for the tiny model.
TEST(ForwardFlops, AreTheProductsOfOneToken) {
  const ModelConfig c = TinyConfig();
  const double queries = 24 * 20 + 20 * 3 * 16, latent = 24 * (16 + 6) + 16 * 3 * (10 + 9), output = 3 * 9 * 24;
  const double attention_weights = queries + latent + output, expert = 3 * 24 * 12;
  const double moe = 24 * 8 + expert * (3 + 1), dense = 3 * 24 * 40, head = 24 * 37;
  const double scores = 3 * 50 * (16 + 9);  // per layer, over 50 keys
  const double plain = 2 * (2 * attention_weights + dense + moe + head + 2 * scores);
  const double mtp = 2 * (2 * 24 * 24 + attention_weights + moe + head + scores);
  // Norm gains and router biases are counted as parameters; they are no products, but next to nothing.
  EXPECT_NEAR(ForwardFlopsPerToken(c, 50, false) / plain, 1, 0.02);
  EXPECT_NEAR(ForwardFlopsPerToken(c, 50, true) / (plain + mtp), 1, 0.02);
}

}  // namespace
}  // namespace sputnik
