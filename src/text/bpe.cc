#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

constexpr uint64_t kEmptyPair = UINT64_MAX;
constexpr size_t kPage = 256, kCodePoints = 0x110000;  // of characters
constexpr std::string_view kWordMark = "\u2581";
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

BpeModel::BpeModel(BpeVocabulary vocabulary, std::span<const BpeMerge> merges)
    : vocabulary_(std::move(vocabulary)), merges_(merges.size()) {
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
  character_ids_.assign(kPage, -1);
  character_pages_.assign(kCodePoints / kPage, 0);
  for (const auto& [code_point, id] : vocabulary_.characters) {
    uint32_t& page = character_pages_[static_cast<size_t>(code_point) / kPage];
    if (page == 0) {
      page = static_cast<uint32_t>(character_ids_.size());
      character_ids_.resize(character_ids_.size() + kPage, -1);
    }
    character_ids_[page + static_cast<size_t>(code_point) % kPage] = id;
  }
  if (vocabulary_.whole.size() == 0) return;
  size = 16;
  while (size < vocabulary_.whole_ids.size() * 2) size *= 2;
  whole_slots_.assign(size, -1);
  for (int32_t i = 0; i < vocabulary_.whole.size(); ++i) {
    size_t at = HashBytes(vocabulary_.whole[i]) & (size - 1);
    while (whole_slots_[at] >= 0) at = (at + 1) & (size - 1);
    whole_slots_[at] = i;
  }
}

int32_t BpeModel::FindWhole(std::string_view piece) const {
  if (whole_slots_.empty()) return -1;
  const size_t mask = whole_slots_.size() - 1;
  for (size_t at = HashBytes(piece) & mask; whole_slots_[at] >= 0; at = (at + 1) & mask) {
    if (vocabulary_.whole[whole_slots_[at]] == piece)
      return vocabulary_.whole_ids[static_cast<size_t>(whole_slots_[at])];
  }
  return -1;
}

int32_t BpeModel::CharacterId(int32_t code_point) const {
  if (code_point < 0) return -1;
  const auto at = static_cast<size_t>(code_point);
  return character_ids_[character_pages_[at / kPage] + at % kPage];
}

// The tokens that a piece starts as, at most one per byte. A character without a token becomes the tokens of its bytes
// if all of these are there, else the unknown token. That one waits for the next token that comes without such a
// detour, as it does in the `tokenizers` library.
size_t BpeModel::Start(std::string_view piece, int32_t* ids) const {
  const auto& byte_ids = vocabulary_.byte_ids;
  size_t count = 0;
  if (vocabulary_.byte_level) {
    for (const char byte : piece) ids[count++] = byte_ids[static_cast<uint8_t>(byte)];
    return count;
  }
  bool unknown = false;
  while (!piece.empty()) {
    const Utf8Char next = DecodeUtf8(piece);
    // Of a start that no character has, every byte is a piece of its own.
    const std::string_view bytes = piece.substr(0, next.code_point < 0 ? 1 : static_cast<size_t>(next.length));
    piece.remove_prefix(bytes.size());
    if (const int32_t id = CharacterId(next.code_point); id >= 0) {
      if (std::exchange(unknown, false)) ids[count++] = vocabulary_.unknown;
      ids[count++] = id;
    } else if (std::all_of(bytes.begin(), bytes.end(),
                           [&](char b) { return byte_ids[static_cast<uint8_t>(b)] >= 0; })) {
      for (const char byte : bytes) ids[count++] = byte_ids[static_cast<uint8_t>(byte)];
    } else if (vocabulary_.unknown >= 0) {
      if (std::exchange(unknown, true) && !vocabulary_.fuse_unknown) ids[count++] = vocabulary_.unknown;
    }
  }
  if (unknown) ids[count++] = vocabulary_.unknown;
  return count;
}

const BpeModel::Slot& BpeModel::Find(int32_t left, int32_t right) const {
  const uint64_t pair = PackPair(left, right);
  uint64_t at = Mix(pair) & mask_;
  while (slots_[at].pair != pair && slots_[at].pair != kEmptyPair) at = (at + 1) & mask_;
  return slots_[at];
}

void BpeModel::Encode(std::string_view piece, BpeWorkspace& workspace, std::vector<int32_t>* ids) const {
  if (piece.size() <= 1 && vocabulary_.byte_level) {
    if (!piece.empty()) ids->push_back(vocabulary_.byte_ids[static_cast<uint8_t>(piece[0])]);
    return;
  }
  if (vocabulary_.words_stand_alone && piece.size() > kShortPiece) {
    for (size_t begin = 0, mark = 0; begin < piece.size(); begin = mark) {
      do {
        mark = std::min(piece.find(kWordMark, mark + 1), piece.size());
      } while (mark < piece.size() && piece.substr(0, mark).ends_with(kWordMark));
      EncodeWord(piece.substr(begin, mark - begin), *workspace.impl_, ids);
    }
    return;
  }
  EncodeWord(piece, *workspace.impl_, ids);
}

void BpeModel::EncodeWord(std::string_view piece, BpeWorkspace::Impl& workspace, std::vector<int32_t>* ids) const {
  CacheEntry* entry = nullptr;
  if (piece.size() <= CacheEntry::kMaxBytes) {
    entry = &workspace.cache[HashBytes(piece) % kCacheEntries];
    if (entry->bytes == piece.size() && std::memcmp(entry->piece.data(), piece.data(), piece.size()) == 0) {
      ids->insert(ids->end(), entry->id.begin(), entry->id.begin() + entry->ids);
      return;
    }
  }
  std::array<int32_t, kShortPiece> found;
  size_t count = 1;
  found[0] = FindWhole(piece);
  if (found[0] < 0 && piece.size() > kShortPiece) {
    EncodeLong(piece, workspace, ids);
    return;
  }
  if (found[0] < 0) count = EncodeShort(piece, found.data());
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
  size_t count = Start(piece, ids);
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
  const auto id = std::make_unique_for_overwrite<int32_t[]>(piece.size());
  const auto size = static_cast<uint32_t>(Start(piece, id.get()));
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

  for (uint32_t i = 0; i < size; ++i) ends[i] = i;
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
