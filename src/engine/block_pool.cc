#include "engine/block_pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace sputnik {
namespace {

uint64_t HashOf(const BlockPool::Block& block) {
  uint64_t hash = HashCombine(block.prefix, block.salt);
  for (size_t i = 0; i < block.tokens.size(); ++i) {
    hash = HashCombine(
        hash, uint64_t{static_cast<uint32_t>(block.tokens[i])} << 32 | static_cast<uint32_t>(block.positions[i]));
  }
  return hash;
}

}  // namespace

BlockPool::BlockPool(int64_t pages, bool prefix_cache)
    : prefix_cache_(prefix_cache), pages_(static_cast<size_t>(pages)), free_(static_cast<size_t>(pages)) {
  for (size_t i = 0; i < free_.size(); ++i) free_[i] = static_cast<int32_t>(free_.size() - 1 - i);
}

BlockPool::Page& BlockPool::At(int32_t page) {
  CHECK(page >= 0 && page < pages());
  return pages_[static_cast<size_t>(page)];
}
const BlockPool::Page& BlockPool::At(int32_t page) const {
  CHECK(page >= 0 && page < pages());
  return pages_[static_cast<size_t>(page)];
}

void BlockPool::PushIdle(int32_t page) {
  Page& p = At(page);
  p.before = last_idle_;
  p.after = kNoPage;
  (last_idle_ == kNoPage ? first_idle_ : At(last_idle_).after) = page;
  last_idle_ = page;
  ++idle_;
}

void BlockPool::PopIdle(int32_t page) {
  const Page& p = At(page);
  (p.before == kNoPage ? first_idle_ : At(p.before).after) = p.after;
  (p.after == kNoPage ? last_idle_ : At(p.after).before) = p.before;
  --idle_;
}

int32_t BlockPool::Allocate() {
  int32_t page = first_idle_;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (page != kNoPage) {
    PopIdle(page);
    by_hash_.erase(At(page).hash);
    At(page).findable = false;
  } else {
    return kNoPage;
  }
  At(page).references = 1;
  return page;
}

void BlockPool::Share(int32_t page) {
  Page& p = At(page);
  CHECK_GT(p.references, 0);
  ++p.references;
}

void BlockPool::Release(int32_t page) {
  Page& p = At(page);
  CHECK_GT(p.references, 0);
  if (--p.references > 0) return;
  if (p.findable) {
    PushIdle(page);
  } else {
    free_.push_back(page);
  }
}

int32_t BlockPool::Lookup(const Block& block, uint64_t hash) const {
  const auto entry = by_hash_.find(hash);
  if (entry == by_hash_.end()) return kNoPage;
  const Page& p = At(entry->second);
  const bool same = p.prefix == block.prefix && p.salt == block.salt &&
                    std::equal(block.tokens.begin(), block.tokens.end(), p.tokens) &&
                    std::equal(block.positions.begin(), block.positions.end(), p.positions);
  return same ? entry->second : kNoPage;
}

BlockPool::Found BlockPool::Find(const Block& block) {
  if (!prefix_cache_) return {};
  const int32_t page = Lookup(block, HashOf(block));
  if (page == kNoPage) return {};
  Page& p = At(page);
  if (p.references++ == 0) PopIdle(page);
  return {page, p.name};
}

uint64_t BlockPool::Publish(const Block& block, int32_t page) {
  CHECK_EQ(static_cast<int64_t>(block.tokens.size()), kKeyBlock);
  CHECK_EQ(static_cast<int64_t>(block.positions.size()), kKeyBlock);
  Page& p = At(page);
  CHECK(p.references > 0 && !p.findable);
  if (!prefix_cache_) return 0;
  const uint64_t hash = HashOf(block);
  const auto [entry, added] = by_hash_.try_emplace(hash, page);
  if (!added) {
    const int32_t like = Lookup(block, hash);
    return like == kNoPage ? 0 : At(like).name;
  }
  p.findable = true;
  p.hash = hash;
  p.name = ++last_name_;
  p.prefix = block.prefix;
  p.salt = block.salt;
  std::copy(block.tokens.begin(), block.tokens.end(), p.tokens);
  std::copy(block.positions.begin(), block.positions.end(), p.positions);
  return p.name;
}

void BlockPool::DropPrefixes() {
  for (Page& page : pages_) page.findable = false;
  by_hash_.clear();
  for (int32_t page = first_idle_; page != kNoPage; page = At(page).after) free_.push_back(page);
  first_idle_ = last_idle_ = kNoPage;
  idle_ = 0;
}

}  // namespace sputnik
