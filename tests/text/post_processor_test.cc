#include "text/post_processor.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(PostProcessor, TemplatesGoAroundOneAnother) {
  EXPECT_EQ(PostProcessor().Process({5, 6}), (std::vector<int32_t>{5, 6}));
  const PostProcessor both({{1, kTextItself}, {kTextItself, 2}});
  EXPECT_EQ(both.Process({5, 6}), (std::vector<int32_t>{1, 5, 6, 2}));
  EXPECT_EQ(both.Process({}), (std::vector<int32_t>{1, 2}));
  const PostProcessor twice({{kTextItself, 3, kTextItself}});
  EXPECT_EQ(twice.Process({5}), (std::vector<int32_t>{5, 3, 5}));
}

}  // namespace
}  // namespace sputnik
