#include "text/code_point.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace sputnik {
namespace {

struct Range {
  int32_t first, last;
};
struct CategoryRange {
  int32_t first, last;
  std::array<char, 3> category;
};

// Assigned in Unicode 15, 15.1 and 16. tools/tokenizer_oracle.py compares all properties of all characters.
// clang-format off
constexpr CategoryRange kYounger[] = {
  {0x897, 0x897, "Mn"}, {0xCF3, 0xCF3, "Mc"}, {0xECE, 0xECE, "Mn"}, {0x1B4E, 0x1B4F, "Po"}, {0x1B7F, 0x1B7F, "Po"},
  {0x1C89, 0x1C89, "Lu"}, {0x1C8A, 0x1C8A, "Ll"}, {0x2427, 0x2429, "So"}, {0x2FFC, 0x2FFF, "So"},
  {0x31E4, 0x31E5, "So"}, {0x31EF, 0x31EF, "So"}, {0xA7CB, 0xA7CC, "Lu"}, {0xA7CD, 0xA7CD, "Ll"},
  {0xA7DA, 0xA7DA, "Lu"}, {0xA7DB, 0xA7DB, "Ll"}, {0xA7DC, 0xA7DC, "Lu"}, {0x105C0, 0x105F3, "Lo"},
  {0x10D40, 0x10D49, "Nd"}, {0x10D4A, 0x10D4D, "Lo"}, {0x10D4E, 0x10D4E, "Lm"}, {0x10D4F, 0x10D4F, "Lo"},
  {0x10D50, 0x10D65, "Lu"}, {0x10D69, 0x10D6D, "Mn"}, {0x10D6E, 0x10D6E, "Pd"}, {0x10D6F, 0x10D6F, "Lm"},
  {0x10D70, 0x10D85, "Ll"}, {0x10D8E, 0x10D8F, "Sm"}, {0x10EC2, 0x10EC4, "Lo"}, {0x10EFC, 0x10EFF, "Mn"},
  {0x1123F, 0x11240, "Lo"}, {0x11241, 0x11241, "Mn"}, {0x11380, 0x11389, "Lo"}, {0x1138B, 0x1138B, "Lo"},
  {0x1138E, 0x1138E, "Lo"}, {0x11390, 0x113B5, "Lo"}, {0x113B7, 0x113B7, "Lo"}, {0x113B8, 0x113BA, "Mc"},
  {0x113BB, 0x113C0, "Mn"}, {0x113C2, 0x113C2, "Mc"}, {0x113C5, 0x113C5, "Mc"}, {0x113C7, 0x113CA, "Mc"},
  {0x113CC, 0x113CD, "Mc"}, {0x113CE, 0x113CE, "Mn"}, {0x113CF, 0x113CF, "Mc"}, {0x113D0, 0x113D0, "Mn"},
  {0x113D1, 0x113D1, "Lo"}, {0x113D2, 0x113D2, "Mn"}, {0x113D3, 0x113D3, "Lo"}, {0x113D4, 0x113D5, "Po"},
  {0x113D7, 0x113D8, "Po"}, {0x113E1, 0x113E2, "Mn"}, {0x116D0, 0x116E3, "Nd"}, {0x11B00, 0x11B09, "Po"},
  {0x11BC0, 0x11BE0, "Lo"}, {0x11BE1, 0x11BE1, "Po"}, {0x11BF0, 0x11BF9, "Nd"}, {0x11F00, 0x11F01, "Mn"},
  {0x11F02, 0x11F02, "Lo"}, {0x11F03, 0x11F03, "Mc"}, {0x11F04, 0x11F10, "Lo"}, {0x11F12, 0x11F33, "Lo"},
  {0x11F34, 0x11F35, "Mc"}, {0x11F36, 0x11F3A, "Mn"}, {0x11F3E, 0x11F3F, "Mc"}, {0x11F40, 0x11F40, "Mn"},
  {0x11F41, 0x11F41, "Mc"}, {0x11F42, 0x11F42, "Mn"}, {0x11F43, 0x11F4F, "Po"}, {0x11F50, 0x11F59, "Nd"},
  {0x11F5A, 0x11F5A, "Mn"}, {0x1342F, 0x1342F, "Lo"}, {0x13439, 0x1343F, "Cf"}, {0x13440, 0x13440, "Mn"},
  {0x13441, 0x13446, "Lo"}, {0x13447, 0x13455, "Mn"}, {0x13460, 0x143FA, "Lo"}, {0x16100, 0x1611D, "Lo"},
  {0x1611E, 0x16129, "Mn"}, {0x1612A, 0x1612C, "Mc"}, {0x1612D, 0x1612F, "Mn"}, {0x16130, 0x16139, "Nd"},
  {0x16D40, 0x16D42, "Lm"}, {0x16D43, 0x16D6A, "Lo"}, {0x16D6B, 0x16D6C, "Lm"}, {0x16D6D, 0x16D6F, "Po"},
  {0x16D70, 0x16D79, "Nd"}, {0x18CFF, 0x18CFF, "Lo"}, {0x1B132, 0x1B132, "Lo"}, {0x1B155, 0x1B155, "Lo"},
  {0x1CC00, 0x1CCEF, "So"}, {0x1CCF0, 0x1CCF9, "Nd"}, {0x1CD00, 0x1CEB3, "So"}, {0x1D2C0, 0x1D2D3, "No"},
  {0x1DF25, 0x1DF2A, "Ll"}, {0x1E030, 0x1E06D, "Lm"}, {0x1E08F, 0x1E08F, "Mn"}, {0x1E4D0, 0x1E4EA, "Lo"},
  {0x1E4EB, 0x1E4EB, "Lm"}, {0x1E4EC, 0x1E4EF, "Mn"}, {0x1E4F0, 0x1E4F9, "Nd"}, {0x1E5D0, 0x1E5ED, "Lo"},
  {0x1E5EE, 0x1E5EF, "Mn"}, {0x1E5F0, 0x1E5F0, "Lo"}, {0x1E5F1, 0x1E5FA, "Nd"}, {0x1E5FF, 0x1E5FF, "Po"},
  {0x1F6DC, 0x1F6DC, "So"}, {0x1F774, 0x1F776, "So"}, {0x1F77B, 0x1F77F, "So"}, {0x1F7D9, 0x1F7D9, "So"},
  {0x1F8B2, 0x1F8BB, "So"}, {0x1F8C0, 0x1F8C1, "So"}, {0x1FA75, 0x1FA77, "So"}, {0x1FA87, 0x1FA89, "So"},
  {0x1FA8F, 0x1FA8F, "So"}, {0x1FAAD, 0x1FAAF, "So"}, {0x1FABB, 0x1FABF, "So"}, {0x1FAC6, 0x1FAC6, "So"},
  {0x1FACE, 0x1FACF, "So"}, {0x1FADA, 0x1FADC, "So"}, {0x1FADF, 0x1FADF, "So"}, {0x1FAE8, 0x1FAE9, "So"},
  {0x1FAF7, 0x1FAF8, "So"}, {0x1FBCB, 0x1FBEF, "So"}, {0x2B739, 0x2B739, "Lo"}, {0x2EBF0, 0x2EE5D, "Lo"},
  {0x31350, 0x323AF, "Lo"},
};

// Punctuation since Unicode 9, which the library's table lacks.
constexpr Range kLaterPunctuation[] = {
  {0x61D, 0x61D}, {0x9FD, 0x9FD}, {0xA76, 0xA76}, {0xC77, 0xC77}, {0xC84, 0xC84}, {0x1B4E, 0x1B4F},
  {0x1B7D, 0x1B7F}, {0x2E43, 0x2E4F}, {0x2E52, 0x2E5D}, {0x10D6E, 0x10D6E}, {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59},
  {0x10F86, 0x10F89}, {0x113D4, 0x113D5}, {0x113D7, 0x113D8}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B},
  {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1183B, 0x1183B}, {0x11944, 0x11946},
  {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09},
  {0x11BE1, 0x11BE1}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F},
  {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F}, {0x16E97, 0x16E9A}, {0x16FE2, 0x16FE2},
  {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F},
};
// clang-format on

template <class Ranges>
auto FindRange(const Ranges& ranges, int32_t code_point) {
  const auto after = std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                                      [](int32_t c, const auto& range) { return c < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last ? &*std::prev(after) : nullptr;
}

// Whether the general category of a character is one of `icu` or, where that is too old, starts with one of `letters`.
bool HasCategory(int32_t code_point, uint32_t icu, std::string_view letters) {
  if (const CategoryRange* younger = FindRange(kYounger, code_point)) {
    return letters.find(younger->category[0]) != std::string_view::npos;
  }
  return (U_GET_GC_MASK(code_point) & icu) != 0;
}

}  // namespace

bool IsWhiteSpace(int32_t code_point) { return u_isUWhiteSpace(code_point) != 0; }

bool IsWord(int32_t code_point) {
  // Of the younger numbers all but one block are decimal digits; Tai Xuan Jing and its kind (No) are none.
  if (const CategoryRange* younger = FindRange(kYounger, code_point)) {
    return younger->category[0] == 'L' || younger->category[0] == 'M' ||
           std::string_view(younger->category.data()) == "Nd";
  }
  return u_isUAlphabetic(code_point) != 0 || u_hasBinaryProperty(code_point, UCHAR_JOIN_CONTROL) != 0 ||
         (U_GET_GC_MASK(code_point) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool IsNumber(int32_t code_point) {
  return HasCategory(code_point, U_GC_N_MASK, "N") || (code_point >= 0x11DE0 && code_point <= 0x11DE9) ||
         (code_point >= 0x16FF4 && code_point <= 0x16FF6);
}

bool IsPunctuation(int32_t code_point) {
  if (code_point < 0x80) return code_point > ' ' && code_point < 0x7F && u_isalnum(code_point) == 0;
  if (code_point == 0x111C9 || code_point == 0x166D) return true;  // P in Unicode 8, since reclassified
  return HasCategory(code_point, U_GC_P_MASK, "P") && FindRange(kLaterPunctuation, code_point) == nullptr;
}

size_t WhiteSpaceStart(std::string_view text, size_t begin) {
  while (begin > 0) {
    const Utf8Char last = LastUtf8Char(text.substr(0, begin));
    if (last.code_point < 0 || !IsWhiteSpace(last.code_point)) break;
    begin -= static_cast<size_t>(last.length);
  }
  return begin;
}

size_t WhiteSpaceEnd(std::string_view text, size_t end) {
  while (end < text.size()) {
    const Utf8Char next = DecodeUtf8(text.substr(end));
    if (next.code_point < 0 || !IsWhiteSpace(next.code_point)) break;
    end += static_cast<size_t>(next.length);
  }
  return end;
}

void AppendLowerCase(int32_t code_point, std::string* text) {
  int32_t lower = u_tolower(code_point);
  if (code_point == 0x130) {  // the one character whose lower case is two
    *text += "i\u0307";
    return;
  }
  if (code_point == 0x1C89 || code_point == 0xA7CC || code_point == 0xA7CE || code_point == 0xA7D2 ||
      code_point == 0xA7D4 || code_point == 0xA7DA) {
    lower = code_point + 1;
  } else if (code_point == 0xA7CB) {
    lower = 0x264;
  } else if (code_point == 0xA7DC) {
    lower = 0x19B;
  } else if (code_point >= 0x10D50 && code_point <= 0x10D65) {  // Garay
    lower = code_point + 0x20;
  } else if (code_point >= 0x16EA0 && code_point <= 0x16EB8) {  // Beria Erfe
    lower = code_point + 0x1B;
  }
  AppendUtf8(lower, text);
}

std::string YoungerThanPcre(std::string_view property) {
  if (property == "Han") return R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
  std::string inside;
  for (const CategoryRange& range : kYounger) {
    if (std::string_view(range.category.data()).starts_with(property)) {
      inside += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", range.first, range.last);
    }
  }
  return inside;
}

}  // namespace sputnik
