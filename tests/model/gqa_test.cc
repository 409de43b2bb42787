#include "model/gqa.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/block_context.h"
#include "tests/support/cached_forward.h"
#include "tests/support/machines.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

class GqaTest : public testing::TestWithParam<std::tuple<std::string, const char*>> {
 protected:
  GqaTest() {
    decoder_.params().Initialise(config_, 3);
    RoughenVectors<float>(decoder_.params(), 4);
  }

  ModelConfig config_ = TinyFamily(std::get<1>(GetParam()));
  Decoder decoder_{config_, DType::kF32, false};
  ThreadPool pool_{2};
  Machine machine_{KernelsFor(std::get<0>(GetParam())), pool_};
  Arena arena_{int64_t{1} << 30};
};

// The model is generated from as it is trained: token by token, in chunks, or in one go, to the last bit; and there is
// one form, whichever is asked for.
TEST_P(GqaTest, CachedDecodeEqualsFullForwardBitForBit) {
  const Batch batch = RandomBatch(config_, {37, 1, 16, 33}, 5);
  const std::vector<double> full = FullForward<float>(decoder_, machine_, arena_, batch);
  for (const int64_t chunk : {1, 2, 5, 16, 17, 64}) {
    CachedForward cached(decoder_, machine_, AttentionForm::kExpanded, batch);
    EXPECT_EQ(cached.Run<float>(arena_, chunk), full) << "in chunks of " << chunk;
  }
  // Prefill of one sequence beside decodes of the others.
  CachedForward mixed(decoder_, machine_, AttentionForm::kAbsorbed, batch);
  mixed.Step<float>(arena_, {3, 0, 16, 1});
  mixed.Step<float>(arena_, {0, 1, 0, 20});
  mixed.Step<float>(arena_, {1, 0, 0, 1});
  EXPECT_EQ(mixed.Run<float>(arena_, 9), full);
}

TEST_P(GqaTest, ASequenceDoesNotKnowItsNeighbours) {
  const Batch together = RandomBatch(config_, {18, 23, 4}, 7);
  const std::vector<double> all = FullForward<float>(decoder_, machine_, arena_, together);
  for (size_t s = 0; s < 3; ++s) {
    const auto begin = together.sequence_start[s], end = together.sequence_start[s + 1];
    Batch alone;
    alone.ids.assign(together.ids.begin() + begin, together.ids.begin() + end);
    alone.positions.assign(together.positions.begin() + begin, together.positions.begin() + end);
    alone.sequence_start = {0, end - begin};
    const std::vector<double> own = FullForward<float>(decoder_, machine_, arena_, alone);
    EXPECT_TRUE(std::equal(own.begin(), own.end(), all.begin() + begin * config_.hidden_size)) << s;
  }
}

// Query head h reads key head h / (heads / key heads): giving each its own copy of that head changes nothing.
TEST_P(GqaTest, HeadsOfAGroupShareTheirKeyHead) {
  ModelConfig many = config_;
  many.num_key_value_heads = config_.num_attention_heads;
  Decoder copies(many, DType::kF32, false);
  const int64_t width = config_.qk_head_dim(), group = config_.num_attention_heads / config_.key_heads();
  for (const Param& to : copies.params().list()) {
    const Tensor& from = decoder_.params().Get(to.spec.name);
    const bool shared = from.elements() != to.tensor.elements();
    EXPECT_EQ(shared,
              to.spec.name.find("k_proj") != std::string::npos || to.spec.name.find("v_proj") != std::string::npos);
    const int64_t head = (from.rank() == 2 ? from.size(1) : 1) * width;
    for (int64_t h = 0; shared && h < config_.num_attention_heads; ++h) {
      std::copy_n(from.as<float>() + h / group * head, head, to.tensor.as<float>() + h * head);
    }
    if (!shared) std::copy_n(from.as<float>(), from.elements(), to.tensor.as<float>());
  }
  const Batch batch = RandomBatch(config_, {21, 8}, 6);
  EXPECT_EQ(FullForward<float>(copies, machine_, arena_, batch), FullForward<float>(decoder_, machine_, arena_, batch));
}

TEST_P(GqaTest, EveryPartOfItMatters) {
  const BlockWeights block = CollectBlock(config_, decoder_.params(), 1, config_.HasMoe(1));
  BlockContext run(config_, DType::kF32, arena_, 9);
  Pass pass(machine_, arena_);
  const Tensor x = pass.New(DType::kF32, {9, config_.hidden_size});
  Random random(8, kStreamTest);
  for (float& value : x.span<float>()) value = static_cast<float>(random.Normal());
  const auto output = [&](const GqaWeights& w, const ForwardContext& context) {
    const auto y = Gqa(pass, config_, w, context, 1, x).span<float>();
    return std::vector<float>(y.begin(), y.end());
  };
  const std::vector<float> whole = output(block.gqa, run.context);
  int parts = 0;
  for (Tensor GqaWeights::*part : {&GqaWeights::q_bias, &GqaWeights::k_bias, &GqaWeights::v_bias, &GqaWeights::o_bias,
                                   &GqaWeights::q_norm, &GqaWeights::k_norm}) {
    if (!(block.gqa.*part).defined()) continue;
    GqaWeights without = block.gqa;
    without.*part = Tensor();
    EXPECT_NE(output(without, run.context), whole) << ++parts;
  }
  EXPECT_EQ(block.gqa.q_bias.defined(), config_.model_type != "qwen3");
  EXPECT_EQ(block.gqa.o_bias.defined(), config_.attention_bias);
  EXPECT_EQ(block.gqa.q_norm.defined(), config_.model_type.starts_with("qwen3"));
  ForwardContext unplaced = run.context;
  unplaced.positions = nullptr;
  EXPECT_NE(output(block.gqa, unplaced), whole);
}

INSTANTIATE_TEST_SUITE_P(Families, GqaTest,
                         testing::Combine(testing::ValuesIn(AvailableMachines()),
                                          testing::Values("qwen2", "qwen3", "qwen3_moe", "llama")),
                         [](const auto& instance) {
                           return std::string(std::get<1>(instance.param)) + "_" + std::get<0>(instance.param);
                         });

}  // namespace
}  // namespace sputnik
