// What stands around a text's ids when they are to be what a model was trained on, such as the begin of a sentence: the
// post-processors of the `tokenizers` library.
#pragma once

#include <cstdint>
#include <vector>

namespace sputnik {

// One template: ids in order; kTextItself stands for the text's own.
inline constexpr int32_t kTextItself = -1;
using PostTemplate = std::vector<int32_t>;

class PostProcessor {
 public:
  PostProcessor() = default;
  explicit PostProcessor(std::vector<PostTemplate> templates) : templates_(std::move(templates)) {}

  // Each template is filled with the result of the one before it.
  std::vector<int32_t> Process(std::vector<int32_t> ids) const;

 private:
  std::vector<PostTemplate> templates_;
};

}  // namespace sputnik
