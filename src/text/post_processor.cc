#include "text/post_processor.h"

namespace sputnik {

std::vector<int32_t> PostProcessor::Process(std::vector<int32_t> ids) const {
  for (const PostTemplate& parts : templates_) {
    std::vector<int32_t> filled;
    filled.reserve(ids.size() + parts.size());
    for (const int32_t part : parts) {
      if (part == kTextItself) {
        filled.insert(filled.end(), ids.begin(), ids.end());
      } else {
        filled.push_back(part);
      }
    }
    ids = std::move(filled);
  }
  return ids;
}

}  // namespace sputnik
