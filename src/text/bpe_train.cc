#include "text/bpe_train.h"

#include <algorithm>
#include <array>
#include <queue>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "text/bpe.h"
#include "text/chat.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// Digits first, so that no other rule ever sees one; then words with the space or apostrophe before them, signs with a
// space before and line breaks after, line breaks, and white space, which leaves its last character to what follows.
constexpr std::string_view kOneDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kWords = R"([ '’]?[\p{L}\p{M}]+| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct BytesHash {
  using is_transparent = void;
  size_t operator()(std::string_view bytes) const { return HashBytes(bytes); }
};

std::vector<PreTokenizerStep> Steps(bool split_digits) {
  return {{std::string(split_digits ? kOneDigit : kThreeDigits)}, {std::string(kWords)}};
}

std::vector<AddedToken> CheckAddedTokens(const BpeTrainOptions& options) {
  std::vector<AddedToken> added;
  std::unordered_set<std::string> seen;
  const auto add = [&](const std::string& content, bool special) {
    if (content.size() < 2 || content.size() > kMaxAddedTokenBytes) {
      ThrowUsage("added token \"{}\" has {} bytes; 2 to {} are possible", content, content.size(), kMaxAddedTokenBytes);
    }
    if (!IsValidUtf8(content)) ThrowUsage("an added token is not valid UTF-8: \"{}\"", ReplaceInvalidUtf8(content));
    std::string bytes;
    if (ByteLevelToBytes(content, &bytes) && bytes != content) {
      ThrowUsage("added token \"{}\" is how a tokenizer file spells other bytes; choose another name", content);
    }
    if (!seen.insert(content).second) ThrowUsage("added token \"{}\" is there twice", content);
    // The markers are looked for in text like any other text, the special tokens before it.
    added.push_back({content, static_cast<int32_t>(added.size()), special, /*normalized=*/!special});
  };
  const auto is_marker = [&](const std::string& content) {
    return std::find(options.text_tokens.begin(), options.text_tokens.end(), content) != options.text_tokens.end();
  };
  for (const std::string& content : options.special_tokens) {
    if (!is_marker(content)) add(content, true);
  }
  for (const std::string& content : options.text_tokens) add(content, false);
  return added;
}

std::vector<AddedToken> Markers(const std::vector<AddedToken>& added) {
  std::vector<AddedToken> markers;
  std::copy_if(added.begin(), added.end(), std::back_inserter(markers), [](const auto& t) { return !t.special; });
  return markers;
}

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const auto packed =
        static_cast<uint64_t>(static_cast<uint32_t>(pair.first)) << 32 | static_cast<uint32_t>(pair.second);
    return (packed ^ packed >> 29) * 0x9E3779B97F4A7C15u >> 7;
  }
};

// The pieces as token sequences, with the count of every adjacent pair kept exact while pairs merge. Within a piece of
// equal tokens every adjacent pair counts, also where two overlap.
class Corpus {
 public:
  void AddWord(std::vector<int32_t> tokens, int64_t count) {
    const auto word = static_cast<uint32_t>(words_.size());
    for (size_t i = 0; i + 1 < tokens.size(); ++i) Change({tokens[i], tokens[i + 1]}, count, word);
    words_.push_back({std::move(tokens), count});
  }

  void Start() { QueueGrown(); }

  // The pair to merge next and its count; the count is 0 when none is left. Nothing else may have this pair's count: it
  // is forgotten, merged or not.
  std::pair<Pair, int64_t> TakeBest() {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(best.pair);
      if (found == pairs_.end()) continue;
      const int64_t count = found->second.count;
      if (count == best.count) return {best.pair, count};
      // Merges of others used some of it up since. Growth is queued at once, so a smaller candidate is a leftover.
      if (count > 0 && count < best.count) queue_.push({count, best.pair});
    }
    return {{0, 0}, 0};
  }

  void Forget(const Pair& pair) { pairs_.erase(pair); }

  void Merge(const Pair& pair, int32_t merged) {
    const std::vector<uint32_t> words = std::move(pairs_.find(pair)->second.words);
    for (const uint32_t word : words) MergeIn(word, pair, merged);
    pairs_.erase(pair);
    QueueGrown();
  }

 private:
  struct Word {
    std::vector<int32_t> tokens;
    int64_t count;
  };
  struct PairInfo {
    int64_t count = 0;
    bool grown = false;
    std::vector<uint32_t> words;  // where it may be; some may have lost it, or be listed twice
  };
  struct Candidate {
    int64_t count;
    Pair pair;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void Change(const Pair& pair, int64_t by, uint32_t word) {
    PairInfo& info = pairs_[pair];
    info.count += by;
    if (by < 0) return;
    if (info.words.empty() || info.words.back() != word) info.words.push_back(word);
    if (!std::exchange(info.grown, true)) grown_.push_back(pair);
  }

  void MergeIn(uint32_t number, const Pair& pair, int32_t merged) {
    std::vector<int32_t>& tokens = words_[number].tokens;
    const int64_t count = words_[number].count;
    size_t out = 0;
    for (size_t in = 0; in < tokens.size(); ++in) {
      if (in + 1 == tokens.size() || tokens[in] != pair.first || tokens[in + 1] != pair.second) {
        tokens[out++] = tokens[in];
        continue;
      }
      if (out > 0) {
        Change({tokens[out - 1], pair.first}, -count, number);
        Change({tokens[out - 1], merged}, count, number);
      }
      if (in + 2 < tokens.size()) {
        Change({pair.second, tokens[in + 2]}, -count, number);
        Change({merged, tokens[in + 2]}, count, number);
      }
      tokens[out++] = merged;
      ++in;
    }
    tokens.resize(out);
  }

  void QueueGrown() {
    for (const Pair& pair : grown_) {
      const auto found = pairs_.find(pair);
      if (found == pairs_.end()) continue;
      found->second.grown = false;
      if (found->second.count > 0) queue_.push({found->second.count, pair});
    }
    grown_.clear();
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, PairInfo, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> grown_;
};

}  // namespace

struct BpeTrainer::Impl {
  explicit Impl(BpeTrainOptions given)
      : options(std::move(given)),
        added(CheckAddedTokens(options)),
        markers(Markers(added)),
        pre_tokenizer(Steps(options.split_digits), "the trainer"),
        workspace(pre_tokenizer.MakeWorkspace()) {}

  BpeTrainOptions options;
  std::vector<AddedToken> added;
  AddedTokenMatcher markers;
  PreTokenizer pre_tokenizer;
  PreTokenizerWorkspace workspace;
  std::unordered_map<std::string, int64_t, BytesHash, std::equal_to<>> pieces;
};

BpeTrainer::BpeTrainer(BpeTrainOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const auto added = static_cast<int64_t>(impl_->added.size());
  const int64_t asked = impl_->options.vocab_size;
  if (asked < 256 + added) {
    ThrowUsage("a vocabulary of {} is too small: 256 bytes and {} added tokens need at least {}", asked, added,
               256 + added);
  }
  if (asked > kMaxTokenizerTokens) {
    ThrowUsage("a vocabulary of {} is too large: at most {} tokens are possible", asked, kMaxTokenizerTokens);
  }
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::Add(std::string_view document) {
  const auto count = [this](std::string_view piece) {
    const auto found = impl_->pieces.find(piece);
    if (found != impl_->pieces.end()) {
      ++found->second;
    } else {
      impl_->pieces.emplace(piece, 1);
    }
  };
  size_t done = 0;
  AddedTokenMatcher::Match match;
  while (impl_->markers.Find(document, done, &match)) {
    impl_->pre_tokenizer.Split(document.substr(done, match.begin - done), done == 0, impl_->workspace, count);
    done = match.end;
  }
  impl_->pre_tokenizer.Split(document.substr(done), done == 0, impl_->workspace, count);
}

TokenizerJson BpeTrainer::Train() const {
  if (impl_->pieces.empty()) ThrowBadInput("there is no text to train a tokenizer on");
  TokenizerJson trained;
  trained.added = impl_->added;
  trained.steps = Steps(impl_->options.split_digits);

  std::unordered_map<std::string, int32_t> id_of;
  const auto add_name = [&](const std::string& name) {
    const auto id = static_cast<int32_t>(trained.ids.size());
    trained.names.Add(name);
    trained.ids.push_back(id);
    id_of.emplace(name, id);
    return id;
  };
  for (const AddedToken& token : impl_->added) add_name(token.content);
  std::array<uint8_t, 256> bytes;
  for (size_t i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  std::sort(bytes.begin(), bytes.end(), [](uint8_t a, uint8_t b) { return ByteLevelChar(a) < ByteLevelChar(b); });
  std::array<int32_t, 256> byte_id{};
  for (const uint8_t byte : bytes) {
    std::string name;
    AppendUtf8(ByteLevelChar(byte), &name);
    byte_id[byte] = add_name(name);
  }

  Corpus corpus;
  for (const auto& [piece, count] : impl_->pieces) {
    if (piece.size() < 2) continue;
    std::vector<int32_t> tokens(piece.size());
    std::transform(piece.begin(), piece.end(), tokens.begin(),
                   [&](char c) { return byte_id[static_cast<uint8_t>(c)]; });
    corpus.AddWord(std::move(tokens), count);
  }
  corpus.Start();
  std::unordered_set<Pair, PairHash> done;
  while (trained.names.size() < impl_->options.vocab_size) {
    const auto [pair, count] = corpus.TakeBest();
    if (count < std::max<int64_t>(impl_->options.min_pair_count, 1)) break;
    const std::string left(trained.names[pair.first]), right(trained.names[pair.second]);
    // Two different pairs may spell the same token, which then gets its second merge, and so may bring back a pair that
    // has merged before. An added token's name is taken: what someone types must never become one by merging.
    const auto spelled = id_of.find(left + right);
    if (spelled != id_of.end() && spelled->second < static_cast<int32_t>(impl_->added.size())) {
      corpus.Forget(pair);
      continue;
    }
    const int32_t merged = spelled != id_of.end() ? spelled->second : add_name(left + right);
    if (done.insert(pair).second) {
      trained.merges.Add(left);
      trained.merges.Add(right);
    }
    corpus.Merge(pair, merged);
  }
  return trained;
}

TokenizerJson TrainBpe(const BpeTrainOptions& options, std::span<const std::string_view> documents) {
  BpeTrainer trainer(options);
  for (const std::string_view document : documents) trainer.Add(document);
  return trainer.Train();
}

TokenizerJson TrainBpe(const BpeTrainOptions& options, const std::function<bool(std::string_view*)>& next) {
  BpeTrainer trainer(options);
  for (std::string_view document; next(&document);) trainer.Add(document);
  return trainer.Train();
}

void SaveTrainedTokenizer(const TokenizerJson& trained, const fs::path& folder, int64_t model_max_length) {
  const auto if_added = [&](std::string_view content) {
    const bool found = std::any_of(trained.added.begin(), trained.added.end(),
                                   [content](const AddedToken& token) { return token.content == content; });
    return std::string(found ? content : std::string_view());
  };
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) ThrowFailure("{}: cannot create the folder: {}", folder.string(), error.message());
  const SpecialTokenNames names = {if_added(kBosToken), if_added(kEosToken), if_added(kPadToken)};
  WriteFileAtomically(folder / "tokenizer_config.json",
                      FormatTokenizerConfig(names, OwnChatTemplate(), model_max_length));
  WriteFileAtomically(folder / "tokenizer.json", FormatTokenizerJson(trained));
}

}  // namespace sputnik
