#include "data/shard.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <fstream>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

const std::string kHash(64, 'a');

fs::path WriteText(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// Three documents of a small vocabulary.
fs::path WriteSmall(const fs::path& path, int64_t vocab_size = 300) {
  ShardWriter writer(path, vocab_size, kHash);
  writer.AddDocument(Ids{1, 2, 3}, "abc");
  writer.AddDocument(Ids{}, "");
  writer.AddDocument(Ids{299}, "\xC3\xA9");
  writer.AddDocument(Ids{5, 6, 7, 8, 9}, "vwxyz");
  writer.Finish();
  return path;
}

Ids All(const Shard& shard) {
  Ids ids(static_cast<size_t>(shard.tokens()));
  shard.Read(0, ids);
  return ids;
}

// Changes the file's bytes, and with `sign` makes the digests agree again.
void Alter(const fs::path& path, size_t offset, const void* bytes, size_t count, bool sign) {
  std::string text = ReadFile(path);
  std::memcpy(text.data() + offset, bytes, count);
  const auto span = std::as_bytes(std::span(text));
  if (sign) {
    std::memcpy(text.data() + offsetof(ShardHeader, data_hash), Sha256(span.subspan(sizeof(ShardHeader))).data(), 64);
    std::memcpy(text.data() + offsetof(ShardHeader, header_hash),
                Sha256(span.first(offsetof(ShardHeader, header_hash))).data(), 64);
  }
  WriteText(path, text);
}

std::string OpenError(const fs::path& path, const std::string& hash = kHash) {
  const std::string message = ExpectError(ExitCode::kBadInput, [&] { Shard::Open(path, hash); });
  EXPECT_MENTIONS(message, path.string());
  EXPECT_MENTIONS(message, "prepare the data again");
  return message;
}

TEST(Shard, KeepsTokensDocumentsAndCounts) {
  const TemporaryFolder folder;
  for (const int64_t vocab_size : {int64_t{300}, int64_t{65536}, int64_t{65537}, int64_t{129280}}) {
    const Shard shard = Shard::Open(WriteSmall(folder / "s.bin", vocab_size), kHash);
    EXPECT_EQ(All(shard), (Ids{1, 2, 3, 299, 5, 6, 7, 8, 9}));
    EXPECT_EQ(std::vector<uint64_t>(shard.document_starts().begin(), shard.document_starts().end()),
              (std::vector<uint64_t>{0, 3, 4}));
    EXPECT_EQ(shard.documents(), 3);
    EXPECT_EQ(shard.vocab_size(), vocab_size);
    EXPECT_EQ(shard.text_bytes(), 10);
    EXPECT_EQ(shard.text_characters(), 9);
    Ids part(2);
    shard.Read(3, part);
    EXPECT_EQ(part, (Ids{299, 5}));
    const size_t width = vocab_size <= 65536 ? 2 : 4;
    EXPECT_EQ(fs::file_size(folder / "s.bin"), 256 + (9 * width + 7) / 8 * 8 + 3 * 8);
  }
  const Shard wide = Shard::Open(
      [&] {
        ShardWriter writer(folder / "wide.bin", 129280, kHash);
        writer.AddDocument(Ids{129279, 65536, 0}, "x");
        writer.Finish();
        return folder / "wide.bin";
      }(),
      kHash);
  EXPECT_EQ(All(wide), (Ids{129279, 65536, 0}));
}

TEST(Shard, IsInvisibleUntilFinished) {
  const TemporaryFolder folder;
  {
    ShardWriter writer(folder / "s.bin", 300, kHash);
    writer.AddDocument(Ids{1}, "a");
    EXPECT_FALSE(fs::exists(folder / "s.bin"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Shard, SameInputsGiveTheSameBytes) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadFile(WriteSmall(folder / "a.bin")), ReadFile(WriteSmall(folder / "b.bin")));
}

TEST(Shard, RefusesAnotherTokenizer) {
  const TemporaryFolder folder;
  const std::string message = OpenError(WriteSmall(folder / "s.bin"), std::string(64, 'b'));
  EXPECT_MENTIONS(message, "another tokenizer");
  EXPECT_MENTIONS(message, kHash);
  EXPECT_MENTIONS(message, std::string(64, 'b'));
}

TEST(Shard, RefusesEveryTruncation) {
  const TemporaryFolder folder;
  const std::string whole = ReadFile(WriteSmall(folder / "s.bin"));
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string message = OpenError(WriteText(folder / "cut.bin", whole.substr(0, size)));
    EXPECT_MENTIONS(message, size < 8 ? "no token shard" : "cut short");
  }
  EXPECT_MENTIONS(OpenError(WriteText(folder / "long.bin", whole + "x")), "appended to");
  EXPECT_MENTIONS(OpenError(WriteText(folder / "text.bin", "This is a text and no shard at all.")), "no token shard");
}

TEST(Shard, RefusesEveryFlippedBit) {
  const TemporaryFolder folder;
  const std::string whole = ReadFile(WriteSmall(folder / "s.bin"));
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i >= offsetof(ShardHeader, reserved) && i < sizeof(ShardHeader)) continue;
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    const std::string message = OpenError(WriteText(folder / "bad.bin", damaged));
    if (i >= sizeof(ShardHeader)) {
      EXPECT_MENTIONS(message, "SHA-256");
    }
  }
}

TEST(Shard, RefusesAnotherVersion) {
  const TemporaryFolder folder;
  const uint32_t version = 2;
  Alter(WriteSmall(folder / "s.bin"), offsetof(ShardHeader, version), &version, sizeof version, true);
  EXPECT_MENTIONS(OpenError(folder / "s.bin"), "version 2, and this program reads version 1");
}

TEST(Shard, RefusesIdsOutsideTheVocabularyThoughSigned) {
  const TemporaryFolder folder;
  const uint16_t id = 300;
  Alter(WriteSmall(folder / "s.bin"), 256 + 2 * 4, &id, sizeof id, true);
  EXPECT_MENTIONS(OpenError(folder / "s.bin"), "token 4 has id 300, outside the vocabulary of 300");
  const uint32_t wide = 0xFFFFFFFF;
  Alter(WriteSmall(folder / "w.bin", 70000), 256, &wide, sizeof wide, true);
  EXPECT_MENTIONS(OpenError(folder / "w.bin"), "token 0 has id 4294967295");
}

TEST(Shard, RefusesSignedNonsense) {
  const TemporaryFolder folder;
  const fs::path path = folder / "s.bin";
  for (const uint64_t value : {uint64_t{0}, uint64_t{1} << 40, ~uint64_t{0}, uint64_t{1} << 63}) {
    for (const size_t offset :
         {offsetof(ShardHeader, tokens), offsetof(ShardHeader, documents), offsetof(ShardHeader, vocab_size)}) {
      Alter(WriteSmall(path), offset, &value, sizeof value, true);
      OpenError(path);
    }
  }
  const uint64_t starts[3][3] = {{1, 3, 4}, {0, 4, 4}, {0, 3, 9}};
  for (const auto& list : starts) {
    Alter(WriteSmall(path), 256 + 24, list, sizeof list, true);
    EXPECT_MENTIONS(OpenError(path), "out of order");
  }
}

TEST(PrepareShards, EndsEveryDocumentWithEndOfSentence) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  const fs::path text = WriteText(folder / "a.jsonl", "{\"text\":\"ab\"}\n{\"text\":\"<think>\"}\n{\"text\":\"c\"}");
  const PreparedShards made = PrepareShards({text}, tokenizer, folder / "train.bin", {});
  EXPECT_FALSE(made.held_out);
  const Shard shard = Shard::Open(made.train, tokenizer.hash());
  EXPECT_EQ(shard.tokens(), made.train_tokens);
  EXPECT_EQ(shard.documents(), 3);
  EXPECT_EQ(shard.vocab_size(), tokenizer.vocab_size());
  const Ids ids = All(shard);
  for (size_t i = 1; i < 3; ++i) EXPECT_EQ(ids[shard.document_starts()[i] - 1], tokenizer.eos_id());
  EXPECT_EQ(ids.back(), tokenizer.eos_id());
  EXPECT_EQ(tokenizer.Decode(ids, true), "ab<think>c");
}

TEST(PrepareShards, HoldsOutTheLastPartOfOneLongText) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>('a' + i % 26);
  const PreparedShards made =
      PrepareShards({WriteText(folder / "a.txt", text)}, tokenizer, folder / "data.bin", {.held_out_fraction = 0.1});
  ASSERT_TRUE(made.held_out);
  EXPECT_EQ(*made.held_out, folder / "data.held_out.bin");
  const Shard train = Shard::Open(made.train, tokenizer.hash()),
              held_out = Shard::Open(*made.held_out, tokenizer.hash());
  EXPECT_EQ(tokenizer.Decode(All(train)), text.substr(0, 900));  // not a document's end: nothing closes it
  EXPECT_EQ(tokenizer.Decode(All(held_out), true), text.substr(900));
  EXPECT_EQ(held_out.text_characters(), 100);
  EXPECT_EQ(made.held_out_tokens, 101);
}

TEST(PrepareShards, CutsLongTextsBetweenCharacters) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  std::string text = "x";
  for (int i = 0; i < 333; ++i) text += "\xE2\x82\xAC";
  const PreparedShards made =
      PrepareShards({WriteText(folder / "a.txt", text)}, tokenizer, folder / "data.bin", {.held_out_fraction = 0.5});
  const Shard train = Shard::Open(made.train, tokenizer.hash()),
              held_out = Shard::Open(*made.held_out, tokenizer.hash());
  EXPECT_EQ(train.text_bytes() + held_out.text_bytes(), 1000);
  EXPECT_EQ(train.text_characters() + held_out.text_characters(), 334);
  EXPECT_EQ(train.text_bytes(), 502);
}

TEST(PrepareShards, CutsShortDocumentsAtAStart) {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "{\"text\":\"document\"}\n";
  const PreparedShards made = PrepareShards({WriteText(folder / "a.jsonl", lines)}, tokenizer, folder / "data.bin",
                                            {.held_out_fraction = 0.0999});
  const Shard train = Shard::Open(made.train, tokenizer.hash()),
              held_out = Shard::Open(*made.held_out, tokenizer.hash());
  EXPECT_EQ(train.documents(), 270);
  EXPECT_EQ(held_out.documents(), 30);
  EXPECT_EQ(held_out.tokens(), 30 * 9);
}

TEST(PrepareShards, TinyshakespeareSplitsInOrder) {
  const char* shared = std::getenv("SPUTNIK_SHARED");
  const fs::path path = fs::path(shared ? shared : SPUTNIK_SOURCE_DIR "/../shared") / "data/tinyshakespeare/input.txt";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is missing";
  const TemporaryFolder folder;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  const PreparedShards made = PrepareShards({path}, tokenizer, folder / "data.bin", {.held_out_fraction = 0.1});
  const Shard train = Shard::Open(made.train, tokenizer.hash()),
              held_out = Shard::Open(*made.held_out, tokenizer.hash());
  EXPECT_EQ(train.text_characters(), 1003854);  // int(0.9 * 1115394)
  EXPECT_EQ(held_out.text_characters(), 111540);
  EXPECT_EQ(train.tokens(), 1003854);
}

TEST(PrepareShards, RefusesTooLittleTextAndLeavesNothing) {
  const TemporaryFolder folder, out;
  const Tokenizer tokenizer = MakeByteTokenizer(folder.path());
  const fs::path text = WriteText(folder / "a.txt", "a");
  const auto prepare = [&](double fraction) {
    PrepareShards({text}, tokenizer, out / "data.bin", {.held_out_fraction = fraction});
  };
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { prepare(0.5); }), "a.txt: too little text to hold out 0.5");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { prepare(1.0); }), "held-out fraction 1: must lie in [0, 1)");
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { prepare(-0.1); }), "held-out fraction");
  WriteText(text, std::string("a\0", 2));
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { prepare(0); }), "binary");
  EXPECT_TRUE(fs::is_empty(out.path()));
}

}  // namespace
}  // namespace sputnik
