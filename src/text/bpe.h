// Byte pair encoding (Sennrich, Haddow, Birch 2016) over bytes: a piece of text starts as one token per byte; then,
// again and again, the adjacent pair of lowest rank, leftmost first, becomes one token, until no adjacent pair can
// merge.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace sputnik {

struct BpeMerge {
  int32_t left, right, result;
};

// What encoding needs besides the model: a cache of recent pieces (bounded, about 1 MiB) and buffers. One per thread
// and per model.
class BpeWorkspace {
 public:
  BpeWorkspace();
  ~BpeWorkspace();
  BpeWorkspace(BpeWorkspace&&) noexcept;
  BpeWorkspace& operator=(BpeWorkspace&&) noexcept;

 private:
  friend class BpeModel;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class BpeModel {
 public:
  // `byte_ids[b]` is the token of the byte b. `merges` in the order of their ranks; a pair occurs at most once, and
  // every result is longer than its parts.
  BpeModel(const std::array<int32_t, 256>& byte_ids, std::span<const BpeMerge> merges);

  // Appends the tokens of one piece. Time is linear in the piece for all but adversarial merges; memory about 20 bytes
  // per byte of the piece while it runs. Pieces of 2^31 bytes or more are an Error (bad input).
  void Encode(std::string_view piece, BpeWorkspace& workspace, std::vector<int32_t>* ids) const;

  int32_t byte_id(uint8_t byte) const { return byte_ids_[byte]; }

 private:
  struct Slot {
    uint64_t pair;
    uint32_t rank;
    int32_t result;
  };
  static constexpr uint32_t kNoRank = UINT32_MAX;

  const Slot& Find(int32_t left, int32_t right) const;
  size_t EncodeShort(std::string_view piece, int32_t* ids) const;
  void EncodeLong(std::string_view piece, BpeWorkspace::Impl& workspace, std::vector<int32_t>* ids) const;

  std::array<int32_t, 256> byte_ids_;
  size_t merges_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  uint64_t mask_;
};

// A hash of bytes for tables in memory; never stored.
uint64_t HashBytes(std::string_view bytes);

}  // namespace sputnik
