// UTF-8, and the one-to-one map between bytes and printable characters that byte-level BPE files are written in
// (Radford et al. 2019, GPT-2): printable Latin-1 bytes stand for themselves, the other 68 for U+0100..U+0143.
// Text from outside may hold any bytes; nothing here throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sputnik {

inline constexpr int32_t kInvalidUtf8 = -1;
inline constexpr int32_t kUnfinishedUtf8 = -2;

struct Utf8Char {
  int32_t
      code_point;  // or kInvalidUtf8: no character starts like this; or kUnfinishedUtf8: one does, but the text ends
  int length;      // bytes of the character, or of the longest start that could have become one, at least 1
};

// The first character of a non-empty text. Overlong forms, surrogates and values above U+10FFFF are invalid.
Utf8Char DecodeUtf8(std::string_view text);

// The last character of a non-empty text; kInvalidUtf8 with length 1 when it ends otherwise.
Utf8Char LastUtf8Char(std::string_view text);

void AppendUtf8(int32_t code_point, std::string* text);

// Bytes from the start that are whole, valid characters.
size_t ValidUtf8Prefix(std::string_view text);
inline bool IsValidUtf8(std::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

// Bytes from the start that can be shown now: everything except an unfinished character at the very end (at most 3
// bytes). Bytes that can never become a character count as finished.
size_t CompleteUtf8Prefix(std::string_view text);

// Each longest start of a broken character becomes one U+FFFD, as the Unicode standard recommends (chapter 3.9).
std::string ReplaceInvalidUtf8(std::string_view text);

// The character that stands for a byte in a byte-level file, and back; -1 for a character that stands for none.
int32_t ByteLevelChar(uint8_t byte);
int ByteLevelByte(int32_t code_point);

// Whole strings. ToBytes is false, with `bytes` unspecified, when a character stands for no byte.
std::string BytesToByteLevel(std::string_view bytes);
bool ByteLevelToBytes(std::string_view text, std::string* bytes);

}  // namespace sputnik
