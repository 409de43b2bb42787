#include "text/bpe_train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "tests/support/temporary_folder.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

const std::string kGolden = SPUTNIK_SOURCE_DIR "/tests/golden/tokenizer";

std::vector<std::string> Merges(const TokenizerJson& trained) {
  std::vector<std::string> merges;
  for (int32_t i = 0; i < trained.merges.size(); i += 2) {
    merges.push_back(std::string(trained.merges[i]) + " " + std::string(trained.merges[i + 1]));
  }
  return merges;
}

TokenizerJson Train(BpeTrainOptions options, std::string_view text) { return TrainBpe(options, std::span(&text, 1)); }

// By the definition: count every adjacent pair anew, merge the most frequent everywhere, start over.
std::vector<std::string> TrainNaively(const TokenizerJson& trained, std::string_view text, int64_t merges,
                                      int64_t min_pair_count) {
  const PreTokenizer pre_tokenizer(trained.steps, "test");
  PreTokenizerWorkspace workspace = pre_tokenizer.MakeWorkspace();
  std::map<std::string, int32_t> id_of;
  for (size_t i = 0; i < trained.added.size() + 256; ++i) {
    id_of[std::string(trained.names[static_cast<int32_t>(i)])] = static_cast<int32_t>(i);
  }
  std::vector<std::vector<std::string>> words;
  pre_tokenizer.Split(text, true, workspace, [&](std::string_view piece) {
    words.emplace_back();
    for (const char c : piece) words.back().push_back(BytesToByteLevel(std::string(1, c)));
  });
  std::vector<std::string> found;
  while (static_cast<int64_t>(found.size()) < merges) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    std::map<std::pair<int32_t, int32_t>, std::pair<std::string, std::string>> names;
    for (const auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        const std::pair<int32_t, int32_t> pair = {id_of[word[i]], id_of[word[i + 1]]};
        ++counts[pair];
        names[pair] = {word[i], word[i + 1]};
      }
    }
    std::pair<int32_t, int32_t> best;
    int64_t most = 0;
    for (const auto& [pair, count] : counts) {  // in ascending order of ids, so ties go to the smaller
      if (count > most) {
        most = count;
        best = pair;
      }
    }
    if (most < min_pair_count) break;
    const auto [left, right] = names[best];
    found.push_back(left + " " + right);
    id_of.emplace(left + right, static_cast<int32_t>(id_of.size()));
    for (auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] += word[i + 1];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return found;
}

TEST(BpeTrain, EqualsTheDefinition) {
  Random random(4, kStreamTest);
  for (int round = 0; round < 30; ++round) {
    std::string text;
    const std::string letters = round % 3 == 0 ? "a " : round % 3 == 1 ? "aab " : "abc \n1.é";
    while (text.size() < 300) text += letters[random.Below(letters.size())];
    const BpeTrainOptions options = {.vocab_size = 256 + 9 + 40, .split_digits = round % 2 == 0, .min_pair_count = 1};
    const TokenizerJson trained = Train(options, text);
    EXPECT_EQ(Merges(trained), TrainNaively(trained, text, 40, 1)) << "round " << round << ": " << text;
  }
  const std::string corpus = ReadFile(kGolden + "/corpus.txt");
  BpeTrainOptions options = {.vocab_size = 400};
  options.text_tokens.clear();
  const TokenizerJson trained = Train(options, corpus);
  EXPECT_EQ(trained.names.size(), 400);
  EXPECT_EQ(Merges(trained), TrainNaively(trained, corpus, 400 - 256 - 5, 2));
}

TEST(BpeTrain, WritesTheGoldenFilesByteForByte) {
  const TemporaryFolder temporary;
  const std::string corpus = ReadFile(kGolden + "/corpus.txt");
  SaveTrainedTokenizer(Train({.vocab_size = 512}, corpus), temporary.path() / "new", 4096);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_EQ(ReadFile(temporary.path() / "new" / name), ReadFile(kGolden + "/" + name)) << name;
  }
  const Json config = ReadJsonFile(temporary.path() / "new" / "tokenizer_config.json");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(config["model_max_length"], 4096);
  const Tokenizer tokenizer = Tokenizer::Load(temporary.path() / "new");
  EXPECT_EQ(tokenizer.vocab_size(), 512);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(corpus)), corpus);
  EXPECT_LT(tokenizer.Encode(corpus).size(), corpus.size() * 6 / 10);
}

TEST(BpeTrain, TheOrderOfDocumentsDoesNotMatter) {
  const std::string corpus = ReadFile(kGolden + "/corpus.txt");
  std::vector<std::string> lines;
  for (size_t at = 0; at < corpus.size();) {
    const size_t end = std::min(corpus.find('\n', at), corpus.size() - 1);
    lines.push_back(corpus.substr(at, end + 1 - at));
    at = end + 1;
  }
  const BpeTrainOptions options = {.vocab_size = 450};
  const auto train = [&] {
    size_t next = 0;
    return FormatTokenizerJson(TrainBpe(options, [&](std::string_view* document) {
      if (next == lines.size()) return false;
      *document = lines[next++];
      return true;
    }));
  };
  const std::string forwards = train();
  std::reverse(lines.begin(), lines.end());
  EXPECT_EQ(train(), forwards);
}

TEST(BpeTrain, DigitsStayAloneOrComeInThrees) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "12345 + 12345 = 24690 ";
  const TemporaryFolder temporary;
  const auto digits = [&](bool split) {
    SaveTrainedTokenizer(Train({.vocab_size = 300, .split_digits = split}, text), temporary.path(), 100);
    const Tokenizer tokenizer = Tokenizer::Load(temporary.path());
    std::string tokens;
    for (const int32_t id : tokenizer.Encode("12345")) tokens += tokenizer.TokenBytes(id) + "|";
    return tokens;
  };
  EXPECT_EQ(digits(true), "1|2|3|4|5|");
  EXPECT_EQ(digits(false), "123|45|");
}

TEST(BpeTrain, StopsWhenNothingIsLeftToMerge) {
  EXPECT_EQ(Train({.vocab_size = 1000}, "abab").names.size(), 256 + 9 + 1) << "only ab occurs twice";
  EXPECT_EQ(Train({.vocab_size = 265}, "abab").names.size(), 265);
  EXPECT_EQ(Train({.vocab_size = 1000}, "\xFF\xFF\xFF\xFF").names.size(), 265) << "invalid bytes do not merge";
}

TEST(BpeTrain, MarkersNeverMerge) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "<think>lamp</think>";
  const TokenizerJson trained = Train({.vocab_size = 1000}, text);
  EXPECT_EQ(trained.names.size(), 265 + 3) << "only la, lam, lamp or the like";
}

TEST(BpeTrain, NoMergeSpellsAnAddedToken) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "lamp\nlam\n";
  BpeTrainOptions options = {.vocab_size = 1000};
  options.special_tokens.push_back("lamp");
  const TemporaryFolder temporary;
  SaveTrainedTokenizer(Train(options, text), temporary.path(), 100);
  const Tokenizer tokenizer = Tokenizer::Load(temporary.path());
  const int32_t special = *tokenizer.SpecialId("lamp");
  for (const int32_t id : tokenizer.Encode("lamp\nlamp")) EXPECT_NE(id, special);
}

TEST(BpeTrain, BadOptionsSayWhatIsPossible) {
  const auto error = [](const BpeTrainOptions& options, std::string_view text = "some text") -> std::string {
    try {
      Train(options, text);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), text.empty() ? ExitCode::kBadInput : ExitCode::kUsage);
      return e.what();
    }
    return "accepted";
  };
  EXPECT_NE(error({.vocab_size = 264}).find("at least 265"), std::string::npos);
  EXPECT_NE(error({.vocab_size = -5}).find("at least 265"), std::string::npos);
  EXPECT_NE(error({.vocab_size = int64_t{1} << 40}).find("too large"), std::string::npos);
  EXPECT_NE(error({.vocab_size = 300}, "").find("no text"), std::string::npos);
  for (const std::string bad : {"", "a", "\xFF\xFE", "é", "Ġa", "<think>"}) {
    BpeTrainOptions options = {.vocab_size = 300};
    options.text_tokens.push_back(bad);
    EXPECT_NE(error(options), "accepted") << bad;
  }
  BpeTrainOptions both = {.vocab_size = 300};
  both.special_tokens.push_back("<think>");
  EXPECT_EQ(error(both), "accepted") << "a token in both lists is a marker";
}

}  // namespace
}  // namespace sputnik
