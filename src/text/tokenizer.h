// Text to token ids and back, by a BPE tokenizer in the Hugging Face file format, byte-level or with byte fallback; ids
// equal those of the `tokenizers` library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_decoder.h"

namespace sputnik {

class ChatTemplate;
namespace jinja {
struct Text;
}

// Const methods may be called from several threads at once.
class Tokenizer {
 public:
  // Reads a tokenizer.json, or the one in a folder, and the tokenizer_config.json beside it if there is one. Throws
  // Error (bad input) naming the file and what is wrong or not supported (text/tokenizer_json.h,
  // text/tokenizer_file.h).
  static Tokenizer Load(const std::filesystem::path& folder_or_file);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Ids of any bytes; nothing is added before or after. Decode gives the same bytes back unless the file says
  // otherwise, by a normalizer or by what it adds to the start of a text. A byte that is not part of valid UTF-8
  // becomes that byte's token, or the unknown token if there is none. Added tokens found in the text become their ids;
  // those marked special only with `parse_special`, otherwise their letters are ordinary text.
  std::vector<int32_t> Encode(std::string_view text, bool parse_special = false) const;

  // Ids of what someone says in a chat. As Encode, but besides the special tokens also those that shape a chat without
  // being marked so (DeepSeek's files leave <｜User｜> unmarked) are ordinary text, so that nobody can speak for
  // another: all added tokens that have "｜" or "<|" in their name.
  std::vector<int32_t> EncodeContent(std::string_view text) const;

  // Ids of what a chat template printed (text/chat_template.h), of its bytes [begin, end). As EncodeContent, but
  // control tokens whose every byte is the template's own become their ids; one that holds a byte from the conversation
  // is ordinary text.
  std::vector<int32_t> EncodeRendered(const jinja::Text& text, size_t begin = 0, size_t end = std::string::npos) const;

  // `ids` of a text with what the files put around a whole text, such as the begin of a sentence: add_bos_token and
  // add_eos_token of tokenizer_config.json if either is there, else the post-processor.
  std::vector<int32_t> Complete(std::vector<int32_t> ids) const;

  // Bytes of the tokens, one after another, by the file's decoder (text/token_decoder.h); these need not be whole
  // characters. An id outside the vocabulary is an Error (bad input).
  std::string Decode(std::span<const int32_t> ids, bool skip_special = false) const;
  std::string TokenBytes(int32_t id) const;  // amid others: the first of a text may lose its space

  int32_t vocab_size() const;                                        // largest id + 1
  std::optional<int32_t> SpecialId(std::string_view content) const;  // of an added token, marked special or not
  bool IsSpecial(int32_t id) const;                                  // marked special
  int32_t bos_id() const;                                            // -1: the config names none
  int32_t eos_id() const;
  int32_t pad_id() const;

  // The folder's chat template, or null.
  const ChatTemplate* chat_template() const;

  // SHA-256 of tokenizer.json, in hexadecimal: tells whether two runs speak of the same ids.
  const std::string& hash() const;

  // Writes the files that were read, byte for byte, into a folder, which is created if need be.
  void SaveTo(const std::filesystem::path& folder) const;

 private:
  friend class StreamDecoder;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Decodes tokens as they come, and holds back the bytes of a character until it is whole. Everything emitted, joined,
// is Decode of all ids; what can never become a character is emitted as it is (text/unicode.h can replace it).
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}  // must outlive this

  std::string Push(int32_t id);
  std::string Finish();  // what is still held back; the next token is the first of another text

 private:
  const Tokenizer* tokenizer_;
  TokenDecoder::State state_;
  std::string held_;
};

}  // namespace sputnik
