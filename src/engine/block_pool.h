// Who holds which cache page: reference counts, and the pages of finished sequences kept for prompts that begin alike.
// Knows numbers only; the contents are in model/kv_cache.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tensor/batch.h"

namespace sputnik {

class BlockPool {
 public:
  // Without `prefix_cache`, nothing is ever found.
  BlockPool(int64_t pages, bool prefix_cache);

  static constexpr int32_t kNoPage = -1;

  int64_t pages() const { return static_cast<int64_t>(pages_.size()); }
  int64_t available() const {
    return static_cast<int64_t>(free_.size()) + idle_;
  }  // pages that Allocate would still give
  int64_t cached() const { return static_cast<int64_t>(by_hash_.size()); }
  int32_t references(int32_t page) const { return At(page).references; }

  // A page held once, or kNoPage. Free pages first, then the least recently used one that only the prefix cache keeps.
  int32_t Allocate();
  void Share(int32_t page);    // one more holder
  void Release(int32_t page);  // one fewer; the page's contents stay findable until it is allocated anew

  // The prefix cache. A full page is identified by its tokens, their positions, and the prefix before it; a prefix is
  // named by a number that is never used twice, so equal hashes cannot pass one text's keys off as another's.
  struct Block {
    uint64_t prefix = 0;  // of the pages before: 0 for none, else what Find or Publish gave for the last of them
    uint64_t salt = 0;
    std::span<const int32_t> tokens, positions;  // kKeyBlock each
  };
  struct Found {
    int32_t page = kNoPage;
    uint64_t prefix = 0;
  };
  // A page with these contents, which the caller then holds, too.
  Found Find(const Block& block);
  // Makes a held page findable, unless its like is already. Returns the prefix's name, 0 if it cannot be remembered.
  uint64_t Publish(const Block& block, int32_t page);
  // Forgets all contents: they no longer follow from the weights.
  void DropPrefixes();

 private:
  struct Page {
    int32_t references = 0;
    int32_t before = kNoPage, after = kNoPage;  // in the list of idle pages
    bool findable = false;
    uint64_t hash = 0, name = 0, prefix = 0, salt = 0;
    int32_t tokens[kKeyBlock], positions[kKeyBlock];
  };

  Page& At(int32_t page);
  const Page& At(int32_t page) const;
  void PushIdle(int32_t page);
  void PopIdle(int32_t page);
  int32_t Lookup(const Block& block, uint64_t hash) const;

  bool prefix_cache_;
  std::vector<Page> pages_;
  std::unordered_map<uint64_t, int32_t> by_hash_;
  std::vector<int32_t> free_;  // last freed on top, as it may still be in a processor's cache
  // Pages that only the prefix cache keeps, the least recently used first.
  int32_t first_idle_ = kNoPage, last_idle_ = kNoPage;
  int64_t idle_ = 0;
  uint64_t last_name_ = 0;
};

}  // namespace sputnik
