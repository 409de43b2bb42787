// Byte pair encoding (Sennrich, Haddow, Birch 2016): a piece of text starts as one token per byte or per character;
// then, again and again, the adjacent pair of lowest rank, leftmost first, becomes one token, until no adjacent pair
// can merge.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace sputnik {

struct BpeMerge {
  int32_t left, right, result;
};

// What a piece starts as, and the pieces that are tokens as they are.
struct BpeVocabulary {
  // Byte-level: the token of each byte, none missing. Otherwise the token that stands for a byte (<0x41>) of a
  // character that has no token of its own, or of no character at all; -1: none.
  std::array<int32_t, 256> byte_ids{};
  bool byte_level = true;
  std::vector<std::pair<int32_t, int32_t>> characters{};  // code point and token; unless byte_level
  int32_t unknown = -1;                                   // of characters without tokens, which vanish if it is -1
  bool fuse_unknown = false;                              // one for several of them in a row
  // No merge goes over the start of a word, which is U+2581 after another character: long pieces are cut there.
  bool words_stand_alone = false;
  TokenTable whole{};  // pieces that become one token whatever the merges say
  std::vector<int32_t> whole_ids{};
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
  // `merges` in the order of their ranks; a pair occurs at most once, and every result is longer than its parts.
  BpeModel(BpeVocabulary vocabulary, std::span<const BpeMerge> merges);

  // Appends the tokens of one piece. Time is linear in the piece for all but adversarial merges; memory about 20 bytes
  // per byte of the piece while it runs. Pieces of 2^31 bytes or more are an Error (bad input).
  void Encode(std::string_view piece, BpeWorkspace& workspace, std::vector<int32_t>* ids) const;

 private:
  struct Slot {
    uint64_t pair;
    uint32_t rank;
    int32_t result;
  };
  static constexpr uint32_t kNoRank = UINT32_MAX;

  const Slot& Find(int32_t left, int32_t right) const;
  int32_t FindWhole(std::string_view piece) const;
  int32_t CharacterId(int32_t code_point) const;
  size_t Start(std::string_view piece, int32_t* ids) const;
  void EncodeWord(std::string_view piece, BpeWorkspace::Impl& workspace, std::vector<int32_t>* ids) const;
  size_t EncodeShort(std::string_view piece, int32_t* ids) const;
  void EncodeLong(std::string_view piece, BpeWorkspace::Impl& workspace, std::vector<int32_t>* ids) const;

  BpeVocabulary vocabulary_;
  std::vector<int32_t> character_ids_;     // pages of 256; page 0 is empty
  std::vector<uint32_t> character_pages_;  // by code point / 256: where its page starts
  std::vector<int32_t> whole_slots_;       // open addressing: numbers in vocabulary_.whole, or -1
  size_t merges_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  uint64_t mask_;
};

// A hash of bytes for tables in memory; never stored.
uint64_t HashBytes(std::string_view bytes);

}  // namespace sputnik
