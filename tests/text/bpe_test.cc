#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/random.h"

namespace sputnik {
namespace {

std::array<int32_t, 256> Bytes() {
  std::array<int32_t, 256> ids;
  for (size_t i = 0; i < 256; ++i) ids[i] = static_cast<int32_t>(i);
  return ids;
}

// By the definition: look everywhere for the lowest rank, leftmost first, merge, start over.
std::vector<int32_t> EncodeNaively(const std::vector<BpeMerge>& merges, const std::string& piece) {
  std::vector<int32_t> ids;
  for (const char c : piece) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

// Merges of known tokens at random; two that spell the same share their result. Shuffled, a merge may come before those
// that make its parts.
std::vector<BpeMerge> RandomMerges(Random& random, const std::string& letters, int count, bool shuffle) {
  std::vector<std::string> known;
  std::map<std::string, int32_t> id_of;
  for (const char c : letters) {
    known.emplace_back(1, c);
    id_of[known.back()] = static_cast<uint8_t>(c);
  }
  std::vector<BpeMerge> merges;
  std::set<std::pair<std::string, std::string>> seen;
  while (static_cast<int>(merges.size()) < count) {
    const std::string left = known[random.Below(known.size())], right = known[random.Below(known.size())];
    if (!seen.insert({left, right}).second) continue;
    const auto [result, fresh] = id_of.emplace(left + right, static_cast<int32_t>(256 + merges.size()));
    if (fresh) known.push_back(left + right);
    merges.push_back({id_of[left], id_of[right], result->second});
  }
  for (size_t i = merges.size(); shuffle && i > 1; --i) std::swap(merges[i - 1], merges[random.Below(i)]);
  return merges;
}

TEST(Bpe, EqualsTheDefinitionOnShortAndLongPieces) {
  Random random(1, kStreamTest);
  for (int round = 0; round < 60; ++round) {
    const std::string letters = round % 3 == 0 ? "a" : round % 3 == 1 ? "ab" : "abcd";
    const std::vector<BpeMerge> merges = RandomMerges(random, letters, 4 + round, round % 2 == 1);
    const BpeModel model({.byte_ids = Bytes()}, merges);
    BpeWorkspace workspace;
    for (int i = 0; i < 40; ++i) {
      std::string piece;
      const uint64_t length = random.Below(i < 30 ? 60 : 300);
      while (piece.size() < length) piece += letters[random.Below(letters.size())];
      std::vector<int32_t> ids = {-7};
      model.Encode(piece, workspace, &ids);
      std::vector<int32_t> expected = EncodeNaively(merges, piece);
      expected.insert(expected.begin(), -7);
      ASSERT_EQ(ids, expected) << "round " << round << ", piece " << piece;
    }
  }
}

TEST(Bpe, TheCacheAnswersAsTheModelDoes) {
  Random random(2, kStreamTest);
  const std::vector<BpeMerge> merges = RandomMerges(random, "abc", 20, false);
  const BpeModel model({.byte_ids = Bytes()}, merges);
  BpeWorkspace workspace;
  std::map<std::string, std::vector<int32_t>> first;
  for (int i = 0; i < 100000; ++i) {  // more pieces than the cache has room for, and many twice
    std::string piece;
    const uint64_t length = 1 + random.Below(12);
    while (piece.size() < length) piece += "abc"[random.Below(3)];
    std::vector<int32_t> ids;
    model.Encode(piece, workspace, &ids);
    const auto [known, fresh] = first.emplace(piece, ids);
    if (fresh) {
      ASSERT_EQ(ids, EncodeNaively(merges, piece)) << piece;
    }
    ASSERT_EQ(ids, known->second) << piece;
  }
}

TEST(Bpe, WithoutMergesBytesStayBytes) {
  const BpeModel model({.byte_ids = Bytes()}, {});
  BpeWorkspace workspace;
  std::vector<int32_t> ids;
  model.Encode("", workspace, &ids);
  EXPECT_TRUE(ids.empty());
  model.Encode("a\xFF", workspace, &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 255}));
  ids.clear();
  model.Encode(std::string(1000, 'x'), workspace, &ids);
  EXPECT_EQ(ids, std::vector<int32_t>(1000, 'x'));
  ids.clear();
  model.Encode("\xC8", workspace, &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{0xC8}));
}

// a, b and U+2581 have tokens, "ab" and "▁a" merge; bytes as given.
BpeModel Characters(BpeVocabulary vocabulary) {
  vocabulary.byte_level = false;
  vocabulary.characters = {{'a', 1}, {'b', 2}, {0x2581, 3}};
  const std::vector<BpeMerge> merges = {{1, 2, 4}, {3, 1, 5}};
  return BpeModel(std::move(vocabulary), merges);
}

std::vector<int32_t> Ids(const BpeModel& model, std::string_view piece) {
  BpeWorkspace workspace;
  std::vector<int32_t> ids;
  model.Encode(piece, workspace, &ids);
  return ids;
}

BpeVocabulary Fallback(std::string_view bytes) {
  BpeVocabulary vocabulary;
  vocabulary.byte_ids.fill(-1);
  for (const char byte : bytes) vocabulary.byte_ids[static_cast<uint8_t>(byte)] = 100 + static_cast<uint8_t>(byte);
  return vocabulary;
}

TEST(Bpe, CharactersWithoutTokensBecomeBytesOrUnknown) {
  EXPECT_EQ(Ids(Characters(Fallback("")), "acb"), (std::vector<int32_t>{4}))
      << "they vanish, then their neighbours meet";
  EXPECT_EQ(Ids(Characters(Fallback("\xC3\xA9")), "aéb"), (std::vector<int32_t>{1, 295, 269, 2}));
  EXPECT_EQ(Ids(Characters(Fallback("\xC3")), "aéb"), (std::vector<int32_t>{4})) << "all bytes or none";
  EXPECT_EQ(Ids(Characters(Fallback("\xC3")), "a\xC3"), (std::vector<int32_t>{1, 295}));
  BpeVocabulary unknown = Fallback("c");
  unknown.unknown = 0;
  EXPECT_EQ(Ids(Characters(unknown), "axyb"), (std::vector<int32_t>{1, 0, 0, 2}));
  EXPECT_EQ(Ids(Characters(unknown), "axcb"), (std::vector<int32_t>{1, 199, 0, 2})) << "it waits, as in the library";
  unknown.fuse_unknown = true;
  EXPECT_EQ(Ids(Characters(unknown), "axyb"), (std::vector<int32_t>{1, 0, 2}));
}

TEST(Bpe, WordsThatStandAloneGiveTheSameIds) {
  Random random(4, kStreamTest);
  BpeVocabulary vocabulary = Fallback("c");
  vocabulary.unknown = 0;
  const BpeModel whole = Characters(vocabulary);
  vocabulary.words_stand_alone = true;
  const BpeModel cut = Characters(vocabulary);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (int k = 0; k < 120; ++k) text += std::array{"a", "b", "▁", "c", "x", "\xFF"}[random.Below(6)];
    ASSERT_EQ(Ids(cut, text), Ids(whole, text)) << text;
  }
}

TEST(Bpe, AWholePieceThatIsATokenIsNotMerged) {
  BpeVocabulary vocabulary = {.byte_ids = Bytes()};
  const std::string longest(60, 'z');
  for (const std::string& piece : {std::string("abc"), longest}) {
    vocabulary.whole.Add(piece);
    vocabulary.whole_ids.push_back(1000 + static_cast<int32_t>(piece.size()));
  }
  const std::vector<BpeMerge> merges = {{'a', 'b', 256}};
  const BpeModel model(std::move(vocabulary), merges);
  EXPECT_EQ(Ids(model, "abc"), (std::vector<int32_t>{1003}));
  EXPECT_EQ(Ids(model, "abcd"), (std::vector<int32_t>{256, 'c', 'd'}));
  EXPECT_EQ(Ids(model, longest), (std::vector<int32_t>{1060}));
}

}  // namespace
}  // namespace sputnik
