// Token ids back to bytes, by the decoders of the `tokenizers` library, one token at a time. Where the library must
// make text, it puts U+FFFD for bytes that are no characters; here the bytes come out as they are, and text/unicode.h
// can replace them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace sputnik {

struct DecoderStep {
  enum class Kind {
    kByteLevel,     // byte-level characters (text/unicode.h) become bytes; a token with others stays as it is
    kByteFallback,  // <0x41> becomes the byte 0x41
    kFuse,          // what follows sees one text
    kStrip,         // up to `start` and `stop` times `content` at the ends of each token, or of the text
    kReplace,       // each match of `pattern` by `content`
    kMetaspace,     // `content` becomes a space; in the first token, with `drop_first`, nothing
  };
  Kind kind = Kind::kByteLevel;
  std::string pattern{}, content{};
  bool literal = false;
  int64_t start = 0, stop = 0;
  bool drop_first = false;
};

class TokenDecoder {
 public:
  // `names` by id, as the file spells them; where `verbatim`, a ByteLevel step leaves the token alone (added tokens).
  // Throws Error (bad input) that names `source` for an order of steps that cannot be decoded token by token: after
  // ByteLevel or Fuse only Strip and Fuse.
  TokenDecoder(std::vector<DecoderStep> steps, const TokenTable& names, const std::vector<bool>& verbatim,
               const std::string& source);

  // Where a decoding is.
  struct State {
    bool first = true;     // no token yet
    bool at_start = true;  // no text yet but what was stripped
    int64_t stripped = 0;  // characters, from the text's start
    std::string held;      // what is stripped if nothing follows it
  };

  // Appends what `id`, which is in the vocabulary, adds to the text. At the text's end there is nothing left to do.
  void Append(int32_t id, State* state, std::string* text) const;

  // The bytes of a token amid others.
  std::string_view bytes(int32_t id) const { return bytes_[id]; }
  int32_t size() const { return bytes_.size(); }

 private:
  std::string strip_start_, strip_stop_;  // characters to strip at the ends of the text
  int64_t start_ = 0, stop_ = 0;          // how many of them
  bool first_differs_ = false;
  TokenTable bytes_, first_bytes_;  // first_bytes_: of a first token, only if it differs
};

}  // namespace sputnik
