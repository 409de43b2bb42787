#include "text/tokenizer_file.h"

#include <algorithm>

#include "base/error.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

// Strings by number, found by content.
class StringIndex {
 public:
  explicit StringIndex(size_t expected) {
    size_t size = 16;
    while (size < expected * 2) size *= 2;
    slots_.assign(size, -1);
  }
  // The number of `text`, or -1. `text_of(i)` gives the text of number i.
  template <class TextOf>
  int32_t Find(std::string_view text, const TextOf& text_of) const {
    size_t at = HashBytes(text) & (slots_.size() - 1);
    while (slots_[at] >= 0 && text_of(slots_[at]) != text) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  void Insert(std::string_view text, int32_t number) {
    size_t at = HashBytes(text) & (slots_.size() - 1);
    while (slots_[at] >= 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = number;
  }

 private:
  std::vector<int32_t> slots_;
};

// Where each id's text is: in the vocabulary (its place in file order) or among the added tokens.
struct Owner {
  int32_t vocab = -1, added = -1;
};

std::vector<Owner> AssignIds(const TokenizerJson& json, const std::vector<AddedToken>& added, const StringIndex& index,
                             const std::string& source) {
  const auto name_of = [&](int32_t i) { return json.names[i]; };
  std::vector<Owner> owners(json.ids.size() + added.size());
  const auto own = [&](int64_t id, std::string_view name) -> Owner& {
    if (id < 0) ThrowBadInput("{}: token \"{}\" has the negative id {}", source, name, id);
    if (id >= static_cast<int64_t>(owners.size())) {
      ThrowBadInput("{}: token \"{}\" has id {}, but with {} tokens the ids must be 0 to {} without gaps", source, name,
                    id, owners.size(), owners.size() - 1);
    }
    return owners[static_cast<size_t>(id)];
  };
  size_t distinct = json.ids.size();
  for (size_t i = 0; i < json.ids.size(); ++i) {
    const std::string_view name = json.names[static_cast<int32_t>(i)];
    Owner& owner = own(json.ids[i], name);
    if (owner.vocab >= 0) {
      ThrowBadInput("{}: id {} belongs to both \"{}\" and \"{}\"", source, json.ids[i], name_of(owner.vocab), name);
    }
    owner.vocab = static_cast<int32_t>(i);
  }
  std::string bytes;
  StringIndex contents(added.size());
  const auto content_of = [&](int32_t i) -> std::string_view { return added[static_cast<size_t>(i)].content; };
  for (size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    if (contents.Find(token.content, content_of) >= 0) {
      ThrowBadInput("{}: added_tokens: \"{}\" is there twice", source, token.content);
    }
    contents.Insert(token.content, static_cast<int32_t>(i));
    Owner& owner = own(token.id, token.content);
    const int32_t in_vocab = index.Find(token.content, name_of);
    if (owner.added >= 0 || (owner.vocab >= 0 && owner.vocab != in_vocab)) {
      ThrowBadInput("{}: id {} belongs to both \"{}\" and \"{}\"", source, token.id,
                    owner.added >= 0 ? content_of(owner.added) : name_of(owner.vocab), token.content);
    }
    if (in_vocab >= 0 && owner.vocab < 0) {
      ThrowBadInput("{}: \"{}\" has id {} in model.vocab and {} in added_tokens", source, token.content,
                    json.ids[static_cast<size_t>(in_vocab)], token.id);
    }
    if (owner.vocab < 0) ++distinct;
    if (json.byte_level && owner.vocab >= 0 && ByteLevelToBytes(token.content, &bytes) && bytes != token.content) {
      ThrowBadInput("{}: added token \"{}\" is also the name of other bytes in model.vocab", source, token.content);
    }
    owner.added = static_cast<int32_t>(i);
  }
  owners.resize(distinct);
  for (size_t id = 0; id < distinct; ++id) {
    if (owners[id].vocab < 0 && owners[id].added < 0) {
      ThrowBadInput("{}: no token has id {}; with {} tokens the ids must be 0 to {} without gaps", source, id, distinct,
                    distinct - 1);
    }
  }
  return owners;
}

std::vector<BpeMerge> ReadMerges(const TokenizerJson& json, const StringIndex& index, const std::string& source) {
  const auto name_of = [&](int32_t i) { return json.names[i]; };
  const auto id_of = [&](std::string_view name, int32_t merge) {
    const int32_t found = index.Find(name, name_of);
    if (found < 0) {
      ThrowBadInput("{}: model.merges: entry {} (\"{}\" with \"{}\") needs the token \"{}\", which model.vocab lacks",
                    source, merge, json.merges[2 * merge], json.merges[2 * merge + 1], name);
    }
    return static_cast<int32_t>(json.ids[static_cast<size_t>(found)]);
  };
  std::vector<BpeMerge> merges(static_cast<size_t>(json.merges.size() / 2));
  std::vector<uint64_t> pairs;
  std::string joined;
  for (int32_t i = 0; i < json.merges.size() / 2; ++i) {
    const std::string_view left = json.merges[2 * i], right = json.merges[2 * i + 1];
    if (left.empty() || right.empty()) ThrowBadInput("{}: model.merges: entry {} has an empty side", source, i);
    joined.assign(left);
    joined += right;
    BpeMerge& merge = merges[static_cast<size_t>(i)];
    merge = {id_of(left, i), id_of(right, i), id_of(joined, i)};
    pairs.push_back(static_cast<uint64_t>(merge.left) << 32 | static_cast<uint64_t>(merge.right));
  }
  std::sort(pairs.begin(), pairs.end());
  const auto twice = std::adjacent_find(pairs.begin(), pairs.end());
  if (twice != pairs.end()) {
    ThrowBadInput("{}: model.merges: the pair of tokens {} and {} is there twice", source, *twice >> 32,
                  *twice & UINT32_MAX);
  }
  return merges;
}

// The one character of a name, or -1.
int32_t OnlyCharacter(std::string_view name) {
  if (name.empty()) return -1;
  const Utf8Char first = DecodeUtf8(name);
  return static_cast<size_t>(first.length) == name.size() ? first.code_point : -1;
}

// Whether U+2581 has a token and stands in no merge's result after any other character.
bool WordsStandAlone(const TokenizerJson& json, const StringIndex& index) {
  constexpr std::string_view kMark = "\u2581";
  if (index.Find(kMark, [&](int32_t i) { return json.names[i]; }) < 0) return false;
  std::string joined;
  for (int32_t i = 0; i < json.merges.size(); i += 2) {
    joined.assign(json.merges[i]);
    joined += json.merges[i + 1];
    size_t at = 0;
    while (std::string_view(joined).substr(at).starts_with(kMark)) at += kMark.size();
    if (joined.find(kMark, at) != std::string::npos) return false;
  }
  return true;
}

BpeVocabulary ReadVocabulary(const TokenizerJson& json, const StringIndex& index, const std::string& source) {
  const auto id_of = [&](std::string_view name) {
    const int32_t found = index.Find(name, [&](int32_t i) { return json.names[i]; });
    return found < 0 ? -1 : static_cast<int32_t>(json.ids[static_cast<size_t>(found)]);
  };
  BpeVocabulary vocabulary;
  vocabulary.byte_level = json.byte_level;
  for (int byte = 0; byte < 256; ++byte) {
    std::string name;
    int32_t& id = vocabulary.byte_ids[static_cast<size_t>(byte)];
    if (!json.byte_level) {
      id = json.byte_fallback ? id_of(fmt::format("<0x{:02X}>", byte)) : -1;
      continue;
    }
    AppendUtf8(ByteLevelChar(static_cast<uint8_t>(byte)), &name);
    id = id_of(name);
    if (id < 0) {
      ThrowBadInput(
          "{}: model.vocab lacks \"{}\", the token of the byte 0x{:02X}; only complete byte-level tokenizers "
          "are supported",
          source, name, byte);
    }
  }
  std::string bytes;
  for (int32_t i = 0; i < json.names.size(); ++i) {
    const auto id = static_cast<int32_t>(json.ids[static_cast<size_t>(i)]);
    const int32_t character = json.byte_level ? -1 : OnlyCharacter(json.names[i]);
    if (character >= 0) vocabulary.characters.emplace_back(character, id);
    if (json.ignore_merges && (!json.byte_level || ByteLevelToBytes(json.names[i], &bytes))) {
      vocabulary.whole.Add(json.byte_level ? std::string_view(bytes) : json.names[i]);
      vocabulary.whole_ids.push_back(id);
    }
  }
  if (!json.unknown.empty()) {
    vocabulary.unknown = id_of(json.unknown);
    if (vocabulary.unknown < 0) {
      ThrowBadInput("{}: model.unk_token is \"{}\", which model.vocab lacks", source, json.unknown);
    }
  }
  vocabulary.fuse_unknown = json.fuse_unknown;
  vocabulary.words_stand_alone = !json.byte_level && !json.ignore_merges && WordsStandAlone(json, index);
  return vocabulary;
}

}  // namespace

TokenizerFile ResolveTokenizer(const TokenizerJson& json, const std::string& source) {
  if (json.names.size() > kMaxTokenizerTokens) {
    ThrowBadInput("{}: {} tokens; at most {} are supported", source, json.names.size(), kMaxTokenizerTokens);
  }
  TokenizerFile file;
  file.added = json.added;
  std::sort(file.added.begin(), file.added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  file.steps = json.steps;
  const auto name_of = [&](int32_t i) { return json.names[i]; };
  StringIndex index(json.ids.size());
  for (int32_t i = 0; i < json.names.size(); ++i) {
    if (index.Find(name_of(i), name_of) >= 0) {
      ThrowBadInput("{}: model.vocab: \"{}\" is there twice", source, name_of(i));
    }
    index.Insert(name_of(i), i);
  }
  const std::vector<Owner> owners = AssignIds(json, file.added, index, source);
  file.names.bytes.reserve(json.names.bytes.size());
  for (const Owner& owner : owners) {
    file.names.Add(owner.added >= 0 ? file.added[static_cast<size_t>(owner.added)].content : name_of(owner.vocab));
  }
  file.vocabulary = ReadVocabulary(json, index, source);
  file.merges = ReadMerges(json, index, source);
  file.normalizer = json.normalizer;
  file.post = json.post;
  file.decoder = json.decoder;
  for (const PostTemplate& parts : file.post) {
    for (const int32_t id : parts) {
      if (id >= file.names.size()) ThrowBadInput("{}: post_processor: no token has id {}", source, id);
    }
  }
  return file;
}

}  // namespace sputnik
