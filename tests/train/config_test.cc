#include "train/config.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

std::vector<Section> Sections(TrainConfig& train, OptimizerConfig& optimizer) {
  std::vector<Section> sections(1);
  sections[0].name = "pretrain";
  train.ListFields(sections[0].fields);
  optimizer.ListFields(sections[0].fields);
  return sections;
}

TEST(TrainConfig, DefaultsAreWithinTheirOwnRanges) {
  TrainConfig train;
  OptimizerConfig optimizer;
  const std::vector<Section> sections = Sections(train, optimizer);
  for (const Field& field : sections[0].fields.list()) {
    EXPECT_NO_THROW(CheckField(field, "defaults")) << field.name;
    EXPECT_FALSE(field.help.empty()) << field.name;
  }
}

TEST(TrainConfig, SettingsReachTheirMembers) {
  TrainConfig train;
  OptimizerConfig optimizer;
  std::vector<Section> sections = Sections(train, optimizer);
  ApplyOverride("pretrain.steps=7", sections);
  ApplyOverride("pretrain.spike_factor=2.5", sections);
  ApplyOverride("pretrain.keep_last=4", sections);
  ApplyOverride("pretrain.optimizer=adamw", sections);
  ApplyOverride("pretrain.beta2=0.99", sections);
  EXPECT_EQ(train.steps, 7);
  EXPECT_EQ(train.spike_factor, 2.5);
  EXPECT_EQ(train.keep_last, 4);
  EXPECT_EQ(optimizer.optimizer, "adamw");
  EXPECT_EQ(optimizer.beta2, 0.99);
}

TEST(TrainConfig, NonsenseIsRefusedByName) {
  TrainConfig train;
  OptimizerConfig optimizer;
  std::vector<Section> sections = Sections(train, optimizer);
  for (const char* bad : {"optimizer=adam", "schedule=sinus", "lr=-1", "keep_last=0", "context=1", "max_skipped=0",
                          "batch_tokens=0", "decay_fraction=1.5", "momentum=2"}) {
    const std::string message =
        ExpectError(ExitCode::kUsage, [&] { ApplyOverride("pretrain." + std::string(bad), sections); });
    EXPECT_MENTIONS(message, std::string(bad).substr(0, std::string(bad).find('=')));
  }
}

}  // namespace
}  // namespace sputnik
