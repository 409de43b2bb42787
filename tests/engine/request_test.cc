#include "engine/request.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

TEST(Request, RefusesWhatCannotBeRun) {
  const ModelConfig config = TinyConfig();
  const auto message = [&](const Request& request) {
    return ExpectError(ExitCode::kUsage, [&] { ValidateRequest(request, config, 100); });
  };
  EXPECT_MENTIONS(message({}), "empty");
  EXPECT_MENTIONS(message({.prompt = std::vector<int32_t>(101, 1)}), "101 tokens");
  EXPECT_MENTIONS(message({.prompt = {1, 37}}), "prompt token 1 is token id 37");
  EXPECT_MENTIONS(message({.prompt = {-1}}), "token id -1");
  EXPECT_MENTIONS(message({.prompt = {1}, .max_tokens = -1}), "max_tokens");
  EXPECT_MENTIONS(message({.prompt = {1}, .samples = 0}), "samples");
  EXPECT_MENTIONS(message({.prompt = {1}, .samples = std::numeric_limits<int64_t>::max()}), "samples");
  EXPECT_MENTIONS(message({.prompt = {1}, .sampling = {.top_p = 2}}), "top_p");
  EXPECT_MENTIONS(message({.prompt = {1}, .stop_ids = {40}}), "stop id 0");
  EXPECT_MENTIONS(message({.prompt = {1}, .top_logprobs = -2}), "top_logprobs");
  ValidateRequest({.prompt = std::vector<int32_t>(100, 36), .max_tokens = std::numeric_limits<int64_t>::max()}, config,
                  100);
}

TEST(Request, OrdinaryPositionsCountUp) {
  ModelConfig config = TinyConfig();
  for (const char* mode : {"ordinary", "none"}) {
    config.position_mode = mode;
    EXPECT_EQ(LongestSequence(config), 128);
    EXPECT_EQ(PositionsFor({.prompt = {1, 2}, .max_tokens = 3}, config, 128), (std::vector<int32_t>{0, 1, 2, 3, 4}));
    const int64_t huge = std::numeric_limits<int64_t>::max();
    EXPECT_EQ(PositionsFor({.prompt = {1, 2}, .max_tokens = huge}, config, 10).size(), 10u);
  }
}

TEST(Request, RandomisedPositionsDependOnTheirSeedAlone) {
  ModelConfig config = TinyConfig();
  config.position_mode = "randomised";
  config.position_range = 60;
  EXPECT_EQ(LongestSequence(config), 60);
  const Request request{.prompt = {1, 2, 3}, .max_tokens = 20, .position_seed = 5};
  const std::vector<int32_t> positions = PositionsFor(request, config, 60);
  EXPECT_EQ(positions, DrawPositions(23, 60, 5));
  Request other = request;
  other.prompt = {7, 8, 9};
  other.sampling.seed = 77;
  EXPECT_EQ(PositionsFor(other, config, 48), positions);
  other.position_seed = 6;
  EXPECT_NE(PositionsFor(other, config, 60), positions);
  other.max_tokens = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(PositionsFor(other, config, 60).size(), 60u);
}

}  // namespace
}  // namespace sputnik
