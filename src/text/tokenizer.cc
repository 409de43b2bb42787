#include "text/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "text/chat_template.h"
#include "text/code_point.h"
#include "text/tokenizer_file.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

enum class Wanted { kAll, kNotSpecial, kNotControl };

bool LooksLikeControl(std::string_view content) {
  return content.find("｜") != std::string_view::npos || content.find("<|") != std::string_view::npos;
}

struct Workspace {
  RegexWorkspace regex;
  std::string normalized;
  PreTokenizerWorkspace pre_tokenizer;
  BpeWorkspace bpe;
};

// Added tokens are looked for in two rounds, as `tokenizers` does: first those that are matched before normalisation,
// then, in what lies between, those that are matched after it.
struct AddedRound {
  std::vector<AddedToken> tokens;
  AddedTokenMatcher matcher;

  static AddedRound Make(const std::vector<AddedToken>& all, bool normalized) {
    std::vector<AddedToken> tokens;
    for (const AddedToken& token : all) {
      if (token.normalized == normalized && !token.content.empty()) tokens.push_back(token);
    }
    AddedTokenMatcher matcher(tokens);
    return {std::move(tokens), std::move(matcher)};
  }
};

}  // namespace

struct Tokenizer::Impl {
  Impl(TokenizerFile file, const std::string& source)
      : names(std::move(file.names)),
        bpe(std::move(file.vocabulary), file.merges),
        normalizer(std::move(file.normalizer), source),
        pre_tokenizer(std::move(file.steps), source),
        post(std::move(file.post)),
        special(static_cast<size_t>(names.size()), false) {
    std::vector<bool> verbatim(special.size(), false);
    RegexWorkspace workspace;
    std::string buffer;
    bool renamed = false;
    for (AddedToken& token : file.added) {
      added_ids.emplace(token.content, token.id);
      special[static_cast<size_t>(token.id)] = token.special;
      if (token.special || LooksLikeControl(token.content)) control.push_back(token);
      verbatim[static_cast<size_t>(token.id)] = true;
      if (!token.normalized) continue;
      const std::string_view normalized = normalizer.Normalize(token.content, workspace, &buffer);
      if (normalized == token.content) continue;
      token.content = std::string(normalized);
      renamed = true;
    }
    // What is found normalised is decoded normalised.
    TokenTable spelled;
    for (int32_t id = 0, next = 0; renamed && id < names.size(); ++id) {
      while (static_cast<size_t>(next) < file.added.size() && file.added[static_cast<size_t>(next)].id < id) ++next;
      const bool is_added =
          static_cast<size_t>(next) < file.added.size() && file.added[static_cast<size_t>(next)].id == id;
      spelled.Add(is_added ? file.added[static_cast<size_t>(next)].content : names[id]);
    }
    rounds.push_back(AddedRound::Make(file.added, false));
    rounds.push_back(AddedRound::Make(file.added, true));
    control_matcher.emplace(control);
    decoder.emplace(std::move(file.decoder), renamed ? spelled : names, verbatim, source);
  }

  std::unique_ptr<Workspace> TakeWorkspace() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(idle.back());
        idle.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>(Workspace{{}, {}, pre_tokenizer.MakeWorkspace(), {}});
  }
  void GiveBack(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(workspace));
  }

  std::vector<int32_t> Encode(std::string_view text, Wanted wanted) {
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 4 + 4);
    std::unique_ptr<Workspace> workspace = TakeWorkspace();
    EncodeRound(0, text, true, wanted, *workspace, &ids);
    GiveBack(std::move(workspace));  // after an exception it is simply gone
    return ids;
  }

  // `first`: the text is the start of what is encoded.
  void EncodeRound(size_t round, std::string_view text, bool first, Wanted wanted, Workspace& workspace,
                   std::vector<int32_t>* ids) const {
    if (round == 1) text = normalizer.Normalize(text, workspace.regex, &workspace.normalized);
    const auto encode = [&](size_t begin, size_t end) {
      if (begin >= end) return;
      const std::string_view part = text.substr(begin, end - begin);
      if (round == 0) return EncodeRound(1, part, first && begin == 0, wanted, workspace, ids);
      pre_tokenizer.Split(part, first && begin == 0, workspace.pre_tokenizer,
                          [&](std::string_view piece) { bpe.Encode(piece, workspace.bpe, ids); });
    };
    const AddedRound& here = rounds[round];
    size_t done = 0, from = 0;
    AddedTokenMatcher::Match match;
    while (here.matcher.Find(text, from, &match)) {
      from = match.end;
      const AddedToken& token = here.tokens[match.token];
      if (wanted != Wanted::kAll && token.special) continue;
      if (wanted == Wanted::kNotControl && LooksLikeControl(token.content)) continue;
      if (token.single_word && !IsSingleWord(text, match.begin, match.end)) continue;
      const size_t begin = token.lstrip ? std::max(WhiteSpaceStart(text, match.begin), done) : match.begin;
      encode(done, begin);
      ids->push_back(token.id);
      done = token.rstrip ? WhiteSpaceEnd(text, match.end) : match.end;
    }
    encode(done, text.size());
  }

  std::vector<int32_t> EncodeRendered(const jinja::Text& text, size_t begin, size_t end) {
    std::vector<int32_t> ids;
    std::unique_ptr<Workspace> workspace = TakeWorkspace();
    const std::string_view bytes = std::string_view(text.bytes).substr(0, end);
    size_t done = begin, from = begin;
    const auto append_until = [&](size_t stop) {
      if (done >= stop) return;
      EncodeRound(0, bytes.substr(done, stop - done), done == 0, Wanted::kNotControl, *workspace, &ids);
    };
    AddedTokenMatcher::Match match;
    while (control_matcher->Find(bytes, from, &match)) {
      from = match.begin + 1;  // the template's own token may start inside one that does not count
      const AddedToken& token = control[match.token];
      bool counts = !token.single_word || IsSingleWord(bytes, match.begin, match.end);
      for (size_t i = match.begin; i < match.end; ++i) counts = counts && (text.MarkAt(i) & jinja::kSaid) == 0;
      if (!counts) continue;
      append_until(token.lstrip ? WhiteSpaceStart(bytes, match.begin) : match.begin);
      ids.push_back(token.id);
      from = match.end;
      done = token.rstrip ? WhiteSpaceEnd(bytes, match.end) : match.end;
    }
    append_until(bytes.size());
    GiveBack(std::move(workspace));
    return ids;
  }

  void CheckId(int32_t id) const {
    if (id < 0 || id >= names.size()) {
      ThrowBadInput("token id {} is outside this tokenizer's vocabulary (0 to {})", id, names.size() - 1);
    }
  }

  int32_t Named(const std::string& name, const char* key, const std::string& source) const {
    if (name.empty()) return -1;
    const auto found = added_ids.find(name);
    if (found != added_ids.end()) return found->second;
    for (int32_t id = 0; id < names.size(); ++id) {
      if (names[id] == name) return id;
    }
    ThrowBadInput("{}: {} is \"{}\", which is not among the tokens of tokenizer.json", source, key, name);
  }

  TokenTable names;
  BpeModel bpe;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PostProcessor post;
  std::optional<TokenDecoder> decoder;
  std::vector<AddedRound> rounds;
  std::vector<bool> special;  // by id
  std::unordered_map<std::string, int32_t> added_ids;
  std::vector<AddedToken> control;  // those that EncodeContent leaves alone
  std::optional<AddedTokenMatcher> control_matcher;
  std::optional<ChatTemplate> chat_template;
  int32_t bos = -1, eos = -1, pad = -1;
  std::string hash;
  std::vector<std::pair<std::string, std::string>> files;  // name, contents

  std::mutex mutex;
  std::vector<std::unique_ptr<Workspace>> idle;  // as many as threads ever encoded at once
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::Load(const fs::path& folder_or_file) {
  std::error_code ignored;
  const fs::path path = fs::is_directory(folder_or_file, ignored) ? folder_or_file / "tokenizer.json" : folder_or_file;
  std::string json = ReadFile(path);
  auto impl =
      std::make_unique<Impl>(ResolveTokenizer(ParseTokenizerJson(json, path.string()), path.string()), path.string());
  impl->hash = Sha256(std::as_bytes(std::span(json)));
  impl->files.emplace_back("tokenizer.json", std::move(json));

  const fs::path folder = path.parent_path();
  const fs::path config_path = folder / "tokenizer_config.json";
  if (fs::exists(config_path, ignored)) {
    std::string config = ReadFile(config_path);
    const SpecialTokenNames names = ParseTokenizerConfig(config, config_path.string());
    impl->bos = impl->Named(names.bos, "bos_token", config_path.string());
    impl->eos = impl->Named(names.eos, "eos_token", config_path.string());
    impl->pad = impl->Named(names.pad, "pad_token", config_path.string());
    if (names.add_bos || names.add_eos) {
      PostTemplate parts = {kTextItself};
      if (names.add_bos.value_or(false) && impl->bos >= 0) parts.insert(parts.begin(), impl->bos);
      if (names.add_eos.value_or(false) && impl->eos >= 0) parts.push_back(impl->eos);
      impl->post = PostProcessor({parts});
    }
    impl->files.emplace_back("tokenizer_config.json", std::move(config));
  }
  impl->chat_template = ChatTemplate::Load(folder);
  // Not read here, but part of what other programs take the folder for.
  for (const char* name : {"chat_template.jinja", "special_tokens_map.json"}) {
    if (fs::exists(folder / name, ignored)) impl->files.emplace_back(name, ReadFile(folder / name));
  }
  return Tokenizer(std::move(impl));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool parse_special) const {
  return impl_->Encode(text, parse_special ? Wanted::kAll : Wanted::kNotSpecial);
}

std::vector<int32_t> Tokenizer::EncodeContent(std::string_view text) const {
  return impl_->Encode(text, Wanted::kNotControl);
}

std::vector<int32_t> Tokenizer::EncodeRendered(const jinja::Text& text, size_t begin, size_t end) const {
  return impl_->EncodeRendered(text, begin, end);
}

std::vector<int32_t> Tokenizer::Complete(std::vector<int32_t> ids) const { return impl_->post.Process(std::move(ids)); }

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  TokenDecoder::State state;
  for (const int32_t id : ids) {
    impl_->CheckId(id);
    if (!skip_special || !impl_->special[static_cast<size_t>(id)]) impl_->decoder->Append(id, &state, &text);
  }
  return text;
}

std::string Tokenizer::TokenBytes(int32_t id) const {
  impl_->CheckId(id);
  return std::string(impl_->decoder->bytes(id));
}

int32_t Tokenizer::vocab_size() const { return impl_->names.size(); }

std::optional<int32_t> Tokenizer::SpecialId(std::string_view content) const {
  const auto found = impl_->added_ids.find(std::string(content));
  if (found == impl_->added_ids.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < impl_->names.size() && impl_->special[static_cast<size_t>(id)];
}

int32_t Tokenizer::bos_id() const { return impl_->bos; }
int32_t Tokenizer::eos_id() const { return impl_->eos; }
int32_t Tokenizer::pad_id() const { return impl_->pad; }

const ChatTemplate* Tokenizer::chat_template() const { return impl_->chat_template ? &*impl_->chat_template : nullptr; }

const std::string& Tokenizer::hash() const { return impl_->hash; }

void Tokenizer::SaveTo(const fs::path& folder) const {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) ThrowFailure("{}: cannot create the folder: {}", folder.string(), error.message());
  for (const auto& [name, contents] : impl_->files) WriteFileAtomically(folder / name, contents);
}

std::string StreamDecoder::Push(int32_t id) {
  tokenizer_->impl_->CheckId(id);
  tokenizer_->impl_->decoder->Append(id, &state_, &held_);
  const size_t complete = CompleteUtf8Prefix(held_);
  std::string ready = held_.substr(0, complete);
  held_.erase(0, complete);
  return ready;
}

std::string StreamDecoder::Finish() {
  state_ = {};
  return std::exchange(held_, {});
}

}  // namespace sputnik
