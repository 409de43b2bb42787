// What a block needs to run by itself on one sequence.
#pragma once

#include <numeric>
#include <vector>

#include "model/block.h"
#include "model/rotary.h"

namespace sputnik {

class BlockContext {
 public:
  BlockContext(const ModelConfig& config, DType dtype, Arena& arena, int32_t tokens)
      : positions_(static_cast<size_t>(tokens)), start_{0, tokens}, count_{tokens} {
    std::iota(positions_.begin(), positions_.end(), 0);
    context.positions = positions_.data();
    context.rotary = Tensor::New(arena, dtype, {tokens, config.rotary_dim()});
    FillRotaryTable(config, context.rotary);
    context.layout = {
        .sequences = 1, .query_start = start_.data(), .key_count = count_.data(), .key_start = start_.data()};
    context.sequence_start = start_;
  }
  BlockContext(const BlockContext&) = delete;

  ForwardContext context;

 private:
  std::vector<int32_t> positions_, start_, count_;
};

}  // namespace sputnik
