#include "app/adapter_start.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "model/adapter_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/model_folders.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class AdapterStart : public testing::Test {
 protected:
  void SetUp() override {
    SetLogLevel(LogLevel::kWarning);
    fs::create_directories(base_);
    MakeTinyFolder(base_);
    config_.adapter.rank = 3;
    config_.adapter.targets = {"o_proj"};
  }
  std::unique_ptr<Decoder> Start(const fs::path& start) { return StartAdapter(config_, start, {}, 5); }
  std::string Refusal(ExitCode code, const fs::path& start) {
    return ExpectError(code, [&] { Start(start); });
  }

  TemporaryFolder folder_;
  fs::path base_ = folder_ / "base", adapter_ = folder_ / "adapter";
  LoraConfig config_;
};

TEST_F(AdapterStart, ANewOneOnAModelAndOneThatGoesOn) {
  const auto fresh = Start(base_);
  ASSERT_NE(fresh->adapter(), nullptr);
  EXPECT_EQ(fresh->adapter()->modules().size(), 2u);
  EXPECT_EQ(&fresh->trained(), &fresh->adapter()->params());
  EXPECT_TRUE(fresh->trained().has_gradients());
  EXPECT_FALSE(fresh->params().has_gradients());
  Param& last = fresh->trained().list().back();
  last.tensor.as<float>()[1] = 0.25f;
  fs::create_directories(adapter_);
  SaveAdapter(adapter_, *fresh->adapter());
  // By its folder, which names the model; or on a model that is named.
  config_.adapter = {};
  EXPECT_EQ(Start(adapter_)->trained().list().back().tensor.as<float>()[1], 0.25f);
  config_.from = adapter_.string();
  EXPECT_EQ(Start(base_)->trained().list().back().tensor.as<float>()[1], 0.25f);
}

TEST_F(AdapterStart, WhatContradictsItselfIsRefused) {
  const auto fresh = Start(base_);
  fs::create_directories(adapter_);
  SaveAdapter(adapter_, *fresh->adapter());
  config_.adapter.rank = 4;
  EXPECT_MENTIONS(Refusal(ExitCode::kUsage, adapter_), "lora.rank is 4");
  config_.from = base_.string();
  EXPECT_MENTIONS(Refusal(ExitCode::kUsage, base_), "adapter_config.json");
  config_.from.clear();
  config_.adapter.targets = {"q_prj"};
  EXPECT_MENTIONS(Refusal(ExitCode::kUsage, base_), "did you mean");
}

}  // namespace
}  // namespace sputnik
