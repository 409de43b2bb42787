#include "text/tokenizer.h"

#include <array>
#include <mutex>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "text/chat_template.h"
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
      if (token.normalized == normalized) tokens.push_back(token);
    }
    AddedTokenMatcher matcher(tokens);
    return {std::move(tokens), std::move(matcher)};
  }
};

}  // namespace

struct Tokenizer::Impl {
  Impl(TokenizerFile file, const std::string& source)
      : tokens(std::move(file.tokens)),
        bpe(file.byte_ids, file.merges),
        pre_tokenizer(std::move(file.steps), source),
        rounds{AddedRound::Make(file.added, false), AddedRound::Make(file.added, true)},
        special(static_cast<size_t>(tokens.size()), false) {
    for (const AddedToken& token : file.added) {
      added_ids.emplace(token.content, token.id);
      special[static_cast<size_t>(token.id)] = token.special;
      if (token.special || LooksLikeControl(token.content)) control.push_back(token);
    }
    control_matcher.emplace(control);
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
    return std::make_unique<Workspace>(Workspace{pre_tokenizer.MakeWorkspace(), BpeWorkspace()});
  }
  void GiveBack(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(workspace));
  }

  std::vector<int32_t> Encode(std::string_view text, Wanted wanted) {
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 4 + 4);
    std::unique_ptr<Workspace> workspace = TakeWorkspace();
    EncodeRound(0, text, wanted, *workspace, &ids);
    GiveBack(std::move(workspace));  // after an exception it is simply gone
    return ids;
  }

  void EncodeRound(size_t round, std::string_view text, Wanted wanted, Workspace& workspace,
                   std::vector<int32_t>* ids) const {
    if (round == rounds.size()) {
      pre_tokenizer.Split(text, workspace.pre_tokenizer,
                          [&](std::string_view piece) { bpe.Encode(piece, workspace.bpe, ids); });
      return;
    }
    const AddedRound& here = rounds[round];
    size_t done = 0, from = 0;
    AddedTokenMatcher::Match match;
    while (here.matcher.Find(text, from, &match)) {
      from = match.end;
      const AddedToken& token = here.tokens[match.token];
      if (wanted != Wanted::kAll && token.special) continue;
      if (wanted == Wanted::kNotControl && LooksLikeControl(token.content)) continue;
      EncodeRound(round + 1, text.substr(done, match.begin - done), wanted, workspace, ids);
      ids->push_back(token.id);
      done = match.end;
    }
    EncodeRound(round + 1, text.substr(done), wanted, workspace, ids);
  }

  std::vector<int32_t> EncodeRendered(const jinja::Text& text) {
    std::vector<int32_t> ids;
    const auto said = [&](size_t i) { return (text.MarkAt(i) & jinja::kSaid) != 0; };
    const auto append_text = [&](size_t begin, size_t end) {
      if (begin == end) return;
      const std::vector<int32_t> part =
          Encode(std::string_view(text.bytes).substr(begin, end - begin), Wanted::kNotControl);
      ids.insert(ids.end(), part.begin(), part.end());
    };
    size_t done = 0, from = 0;
    AddedTokenMatcher::Match match;
    while (control_matcher->Find(text.bytes, from, &match)) {
      from = match.begin + 1;  // the template's own token may start inside one that does not count
      bool counts = true;
      for (size_t i = match.begin; i < match.end; ++i) counts = counts && !said(i);
      if (!counts) continue;
      append_text(done, match.begin);
      ids.push_back(control[match.token].id);
      done = from = match.end;
    }
    append_text(done, text.size());
    return ids;
  }

  std::string_view BytesOf(int32_t id) const {
    if (id < 0 || id >= tokens.size()) {
      ThrowBadInput("token id {} is outside this tokenizer's vocabulary (0 to {})", id, tokens.size() - 1);
    }
    return tokens[id];
  }

  int32_t Named(const std::string& name, const char* key, const std::string& source) const {
    if (name.empty()) return -1;
    const auto found = added_ids.find(name);
    if (found == added_ids.end()) {
      ThrowBadInput("{}: {} is \"{}\", which is not among the added tokens of tokenizer.json", source, key, name);
    }
    return found->second;
  }

  TokenTable tokens;
  BpeModel bpe;
  PreTokenizer pre_tokenizer;
  std::array<AddedRound, 2> rounds;
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

std::vector<int32_t> Tokenizer::EncodeRendered(const jinja::Text& text) const { return impl_->EncodeRendered(text); }

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids) {
    const std::string_view bytes = impl_->BytesOf(id);
    if (!skip_special || !impl_->special[static_cast<size_t>(id)]) text += bytes;
  }
  return text;
}

std::string Tokenizer::TokenBytes(int32_t id) const { return std::string(impl_->BytesOf(id)); }

int32_t Tokenizer::vocab_size() const { return impl_->tokens.size(); }

std::optional<int32_t> Tokenizer::SpecialId(std::string_view content) const {
  const auto found = impl_->added_ids.find(std::string(content));
  if (found == impl_->added_ids.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && id < impl_->tokens.size() && impl_->special[static_cast<size_t>(id)];
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
  held_ += tokenizer_->TokenBytes(id);
  const size_t complete = CompleteUtf8Prefix(held_);
  std::string ready = held_.substr(0, complete);
  held_.erase(0, complete);
  return ready;
}

std::string StreamDecoder::Finish() { return std::exchange(held_, {}); }

}  // namespace sputnik
