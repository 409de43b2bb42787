#include "model/rope_scaling.h"

#include "tests/support/config_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/published.h"

namespace sputnik {
namespace {

ModelConfig Read(const Json& keys) {
  ModelConfig config;
  ReadRopeScaling(keys, config, "config.json");
  return config;
}

TEST(RopeScalingTest, BothSpellingsSayTheSame) {
  const Json object = {{"rope_type", "llama3"},  {"rope_theta", 500000.0},  {"factor", 8.0},
                       {"low_freq_factor", 1.5}, {"high_freq_factor", 5.0}, {"original_max_position_embeddings", 77}};
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const ModelConfig config = Read({{key, object}});
    EXPECT_EQ(config.rope_theta, 500000);
    EXPECT_EQ(config.rope_scaling.type, "llama3");
    EXPECT_EQ(config.rope_scaling.factor, 8);
    EXPECT_EQ(config.rope_scaling.low_freq_factor, 1.5);
    EXPECT_EQ(config.rope_scaling.high_freq_factor, 5);
    EXPECT_EQ(config.rope_scaling.original_max_position_embeddings, 77);
  }
  const ModelConfig plain = Read({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 7.0}}}});
  EXPECT_EQ(plain.rope_theta, 7);
  EXPECT_EQ(plain.rope_scaling.factor, 0);
  EXPECT_EQ(Read({{"rope_scaling", nullptr}}).rope_scaling.factor, 0);
}

TEST(RopeScalingTest, WhatIsWrittenReadsBack) {
  const RopeScaling scalings[] = {
      {},
      {.type = "linear", .factor = 2.5},
      {.type = "llama3",
       .factor = 8,
       .low_freq_factor = 2,
       .high_freq_factor = 3,
       .original_max_position_embeddings = 9},
      {.factor = 4, .beta_fast = 30, .mscale = 0.7, .mscale_all_dim = 0.8, .original_max_position_embeddings = 11},
      {.factor = 4, .attention_factor = 1.25, .original_max_position_embeddings = 11},
  };
  for (const RopeScaling& scaling : scalings) {
    const OrderedJson written = WriteRopeScaling(scaling);
    const ModelConfig read = Read({{"rope_scaling", Json::parse(written.dump())}});
    for (double RopeScaling::*number :
         {&RopeScaling::factor, &RopeScaling::beta_fast, &RopeScaling::mscale, &RopeScaling::mscale_all_dim,
          &RopeScaling::attention_factor, &RopeScaling::low_freq_factor, &RopeScaling::high_freq_factor}) {
      EXPECT_EQ(read.rope_scaling.*number, scaling.*number);
    }
    EXPECT_EQ(read.rope_scaling.original_max_position_embeddings, scaling.original_max_position_embeddings);
    EXPECT_EQ(read.rope_scaling.type, scaling.type);
    EXPECT_EQ(WriteRopeScaling(read.rope_scaling), written);
  }
  EXPECT_TRUE(WriteRopeScaling({}).is_null());
}

TEST(RopeScalingTest, RefusesByName) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"type", "dynamic"}, {"factor", 2}}, "dynamic"},
      {{{"rope_type", "longrope"}}, "longrope"},
      {{{"type", 7}}, "7"},
      {{{"type", "linear"}}, "rope_scaling.factor"},
      {{{"type", "llama3"}, {"factor", 8}, {"high_freq_factor", 4}}, "low_freq_factor"},
      {{{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}, "high_freq_factor"},
      {{{"type", "yarn"}, {"factor", 4}, {"truncate", false}}, "truncate"},
      {{{"type", "yarn"}, {"factor", 4}, {"attention_factor", -1}}, "attention_factor"},
      {{{"type", "yarn"}, {"factor", 4}, {"rope_theta", 1}}, "rope_theta"},
      {{{"type", "default"}, {"partial_rotary_factor", 0.25}}, "partial_rotary_factor"},
  };
  for (const auto& [object, part] : cases) {
    SCOPED_TRACE(object.dump());
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&, o = object] { Read({{"rope_scaling", o}}); }), part);
  }
}

}  // namespace
}  // namespace sputnik
