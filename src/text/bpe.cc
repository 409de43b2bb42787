#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>

#include "base/error.h"

namespace sputnik {
namespace {

constexpr uint64_t kEmptyPair = UINT64_MAX;
constexpr size_t kShortPiece = 48;  // up to here a plain scan for the lowest rank beats every queue

uint64_t PackPair(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t Mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93u;
  x ^= x >> 32;
  return x;
}

// A cached piece: one cache line, so that a hit costs one miss. Longer pieces are rare and are worked out anew.
struct CacheEntry {
  static constexpr size_t kMaxBytes = 30, kMaxIds = 8;
  uint8_t bytes = 0, ids = 0;
  std::array<char, kMaxBytes> piece;
  std::array<int32_t, kMaxIds> id;
};
static_assert(sizeof(CacheEntry) == 64);
constexpr size_t kCacheEntries = size_t{1} << 14;

}  // namespace

uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = bytes.size() * 0x9E3779B97F4A7C15u;
  while (bytes.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = Mix(hash ^ word);
    bytes.remove_prefix(8);
  }
  if (!bytes.empty()) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    hash = Mix(hash ^ word);
  }
  return Mix(hash + 0x9E3779B97F4A7C15u);
}

struct BpeWorkspace::Impl {
  std::vector<CacheEntry> cache{kCacheEntries};
  // Of long pieces: where each rank's positions wait. `bucket_of` has one entry per merge and is 0 between pieces.
  std::vector<uint32_t> bucket_of;
};

BpeWorkspace::BpeWorkspace() : impl_(std::make_unique<Impl>()) {}
BpeWorkspace::~BpeWorkspace() = default;
BpeWorkspace::BpeWorkspace(BpeWorkspace&&) noexcept = default;
BpeWorkspace& BpeWorkspace::operator=(BpeWorkspace&&) noexcept = default;

BpeModel::BpeModel(const std::array<int32_t, 256>& byte_ids, std::span<const BpeMerge> merges)
    : byte_ids_(byte_ids), merges_(merges.size()) {
  size_t size = 16;
  while (size < merges.size() * 2) size *= 2;
  slots_.assign(size, {kEmptyPair, kNoRank, -1});
  mask_ = size - 1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t pair = PackPair(merges[rank].left, merges[rank].right);
    uint64_t at = Mix(pair) & mask_;
    while (slots_[at].pair != kEmptyPair) at = (at + 1) & mask_;
    slots_[at] = {pair, static_cast<uint32_t>(rank), merges[rank].result};
  }
}

const BpeModel::Slot& BpeModel::Find(int32_t left, int32_t right) const {
  const uint64_t pair = PackPair(left, right);
  uint64_t at = Mix(pair) & mask_;
  while (slots_[at].pair != pair && slots_[at].pair != kEmptyPair) at = (at + 1) & mask_;
  return slots_[at];
}

void BpeModel::Encode(std::string_view piece, BpeWorkspace& workspace, std::vector<int32_t>* ids) const {
  if (piece.size() <= 1) {
    if (!piece.empty()) ids->push_back(byte_ids_[static_cast<uint8_t>(piece[0])]);
    return;
  }
  if (piece.size() > kShortPiece) {
    EncodeLong(piece, *workspace.impl_, ids);
    return;
  }
  CacheEntry* entry = nullptr;
  if (piece.size() <= CacheEntry::kMaxBytes) {
    entry = &workspace.impl_->cache[HashBytes(piece) % kCacheEntries];
    if (entry->bytes == piece.size() && std::memcmp(entry->piece.data(), piece.data(), piece.size()) == 0) {
      ids->insert(ids->end(), entry->id.begin(), entry->id.begin() + entry->ids);
      return;
    }
  }
  std::array<int32_t, kShortPiece> found;
  const size_t count = EncodeShort(piece, found.data());
  ids->insert(ids->end(), found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count));
  if (entry == nullptr || count > CacheEntry::kMaxIds) return;
  entry->bytes = static_cast<uint8_t>(piece.size());
  entry->ids = static_cast<uint8_t>(count);
  std::memcpy(entry->piece.data(), piece.data(), piece.size());
  std::copy_n(found.begin(), count, entry->id.begin());
}

size_t BpeModel::EncodeShort(std::string_view piece, int32_t* ids) const {
  // rank[i] and result[i] belong to the pair of ids[i] and ids[i + 1].
  std::array<uint32_t, kShortPiece> rank;
  std::array<int32_t, kShortPiece> result;
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) ids[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
  const auto look_up = [&](size_t i) {
    const Slot& slot = Find(ids[i], ids[i + 1]);
    rank[i] = slot.rank;
    result[i] = slot.result;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rank[i] < rank[best]) best = i;
    }
    if (rank[best] == kNoRank) break;
    ids[best] = result[best];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ids[i] = ids[i + 1];
      rank[i] = rank[i + 1];
      result[i] = result[i + 1];
    }
    --count;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  return count;
}

// A token covers positions first to last of the piece; id[first] is the token, and ends[first] = last, ends[last] =
// first lead to its neighbours both ways. Positions wait in one bucket per rank, and the lowest rank with a bucket goes
// next, so that a run of equal characters takes linear time, where a queue of positions would add a logarithm and a
// cache miss to each. A position that no longer holds its rank's pair is skipped.
void BpeModel::EncodeLong(std::string_view piece, BpeWorkspace::Impl& workspace, std::vector<int32_t>* ids) const {
  if (piece.size() > std::numeric_limits<int32_t>::max()) {
    ThrowBadInput("a piece of text of {} bytes without a break is too long to tokenize (at most 2147483647)",
                  piece.size());
  }
  constexpr int32_t kMerged = -1;
  struct Bucket {
    std::vector<uint32_t> positions;
    size_t next = 0;
    bool sorted = true;
  };
  const auto size = static_cast<uint32_t>(piece.size());
  const auto id = std::make_unique_for_overwrite<int32_t[]>(size);
  const auto ends = std::make_unique_for_overwrite<uint32_t[]>(size);
  std::vector<Bucket> buckets(1);                                                // bucket 0 means none
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> waiting;  // ranks
  std::vector<uint32_t> touched;
  workspace.bucket_of.resize(merges_, 0);

  const auto push = [&](uint32_t position, uint32_t rank) {
    uint32_t& number = workspace.bucket_of[rank];
    if (number == 0) {
      number = static_cast<uint32_t>(buckets.size());
      buckets.emplace_back();
      touched.push_back(rank);
    }
    Bucket& bucket = buckets[number];
    if (bucket.next == bucket.positions.size()) {
      bucket.positions.clear();
      bucket.next = 0;
      bucket.sorted = true;
      waiting.push(rank);
    } else if (position < bucket.positions.back()) {
      bucket.sorted = false;
    }
    bucket.positions.push_back(position);
  };

  for (uint32_t i = 0; i < size; ++i) {
    id[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
    ends[i] = i;
  }
  for (uint32_t i = 0; i + 1 < size; ++i) {
    const uint32_t rank = Find(id[i], id[i + 1]).rank;
    if (rank != kNoRank) push(i, rank);
  }
  while (!waiting.empty()) {
    const uint32_t rank = waiting.top();
    const uint32_t number = workspace.bucket_of[rank];
    {
      Bucket& bucket = buckets[number];
      if (!bucket.sorted) {  // several ranks fed it: leftmost first, as the definition says, where two overlap
        std::sort(bucket.positions.begin() + static_cast<std::ptrdiff_t>(bucket.next), bucket.positions.end());
        bucket.sorted = true;
      }
    }
    // A merge may bring a lower rank to the top (in merges that no trainer writes); that one then goes first.
    while (waiting.top() == rank && buckets[number].sorted && buckets[number].next < buckets[number].positions.size()) {
      const uint32_t at = buckets[number].positions[buckets[number].next];
      const uint32_t right = id[at] == kMerged ? size : ends[at] + 1;
      const Slot* slot = right == size ? nullptr : &Find(id[at], id[right]);
      if (slot == nullptr || slot->rank != rank) {
        ++buckets[number].next;
        continue;
      }
      const uint32_t last = ends[right];
      id[at] = slot->result;
      id[right] = kMerged;
      ends[at] = last;
      ends[last] = at;
      if (at > 0) {
        const uint32_t left = ends[at - 1];
        const uint32_t left_rank = Find(id[left], id[at]).rank;
        if (left_rank != kNoRank) push(left, left_rank);
      }
      if (last + 1 < size) {
        const uint32_t right_rank = Find(id[at], id[last + 1]).rank;
        if (right_rank != kNoRank) push(at, right_rank);
      }
      ++buckets[number].next;
    }
    if (waiting.top() == rank && buckets[number].next == buckets[number].positions.size()) waiting.pop();
  }
  for (const uint32_t rank : touched) workspace.bucket_of[rank] = 0;
  for (uint32_t at = 0; at < size; at = ends[at] + 1) ids->push_back(id[at]);
}

}  // namespace sputnik
