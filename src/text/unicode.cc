#include "text/unicode.h"

#include <array>
#include <cstring>

namespace sputnik {
namespace {

struct ByteLevelTable {
  std::array<int32_t, 256> to_char{};
  std::array<int16_t, 0x144> to_byte{};
};

constexpr ByteLevelTable MakeByteLevelTable() {
  ByteLevelTable table;
  for (int16_t& byte : table.to_byte) byte = -1;
  int32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
    const int32_t code_point = printable ? byte : next++;
    table.to_char[static_cast<size_t>(byte)] = code_point;
    table.to_byte[static_cast<size_t>(code_point)] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr ByteLevelTable kByteLevel = MakeByteLevelTable();

}  // namespace

Utf8Char DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  int length = 0;
  int32_t code_point = 0;
  // The second byte's range is what rules out overlong forms, surrogates and values above U+10FFFF.
  uint8_t low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
    code_point = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    code_point = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    code_point = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {kInvalidUtf8, 1};
  }
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {kUnfinishedUtf8, i};
    const uint8_t next = byte(static_cast<size_t>(i));
    if (next < low || next > high) return {kInvalidUtf8, i};
    code_point = code_point << 6 | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code_point, length};
}

Utf8Char LastUtf8Char(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    const Utf8Char last = DecodeUtf8(text.substr(text.size() - length));
    if (last.code_point >= 0 && static_cast<size_t>(last.length) == length) return last;
  }
  return {kInvalidUtf8, 1};
}

void AppendUtf8(int32_t code_point, std::string* text) {
  const auto push = [&](int32_t byte) { text->push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | code_point >> 12);
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | code_point >> 18);
    push(0x80 | (code_point >> 12 & 0x3F));
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

size_t ValidUtf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t eight = 0;
    while (at + 8 <= text.size()) {  // most text is ASCII
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) != 0) break;
      at += 8;
    }
    if (at == text.size()) break;
    const Utf8Char next = DecodeUtf8(text.substr(at));
    if (next.code_point < 0) break;
    at += static_cast<size_t>(next.length);
  }
  return at;
}

size_t CompleteUtf8Prefix(std::string_view text) {
  const size_t first = text.size() > 3 ? text.size() - 3 : 0;
  for (size_t at = first; at < text.size(); ++at) {
    const Utf8Char next = DecodeUtf8(text.substr(at));
    if (next.code_point == kUnfinishedUtf8 && at + static_cast<size_t>(next.length) == text.size()) return at;
  }
  return text.size();
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string clean;
  while (true) {
    const size_t valid = ValidUtf8Prefix(text);
    clean += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) return clean;
    clean += "\xEF\xBF\xBD";
    text.remove_prefix(static_cast<size_t>(DecodeUtf8(text).length));
  }
}

int32_t ByteLevelChar(uint8_t byte) { return kByteLevel.to_char[byte]; }

int ByteLevelByte(int32_t code_point) {
  if (code_point < 0 || code_point >= static_cast<int32_t>(kByteLevel.to_byte.size())) return -1;
  return kByteLevel.to_byte[static_cast<size_t>(code_point)];
}

std::string BytesToByteLevel(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) AppendUtf8(ByteLevelChar(static_cast<uint8_t>(byte)), &text);
  return text;
}

bool ByteLevelToBytes(std::string_view text, std::string* bytes) {
  bytes->clear();
  while (!text.empty()) {
    const Utf8Char next = DecodeUtf8(text);
    const int byte = ByteLevelByte(next.code_point);
    if (byte < 0) return false;
    bytes->push_back(static_cast<char>(byte));
    text.remove_prefix(static_cast<size_t>(next.length));
  }
  return true;
}

}  // namespace sputnik
