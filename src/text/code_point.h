// What kinds of characters there are, as the `tokenizers` library and what it is built from see them: Unicode 16 in
// regular expressions, other versions elsewhere. The libraries beneath this program know Unicode 14 (PCRE2 10.42) and
// 15 (ICU 72); what came later is listed here. A newer library changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sputnik {

bool IsWhiteSpace(int32_t code_point);   // White_Space
bool IsWord(int32_t code_point);         // letters, marks, decimal digits, connectors, joiners: \w of Rust's regex
bool IsNumber(int32_t code_point);       // Nd, Nl, No of Unicode 17: Rust's char::is_numeric
bool IsPunctuation(int32_t code_point);  // ASCII signs, and P* of Unicode 8: the Punctuation pre-tokenizer

// Where the white space before `begin` starts, and where that after `end` ends.
size_t WhiteSpaceStart(std::string_view text, size_t begin);
size_t WhiteSpaceEnd(std::string_view text, size_t end);

// Appends the lower case of one character, of which there may be two (Unicode 17); no other character plays a part.
void AppendLowerCase(int32_t code_point, std::string* text);

// For the inside of a PCRE2 class: the characters younger than Unicode 14 that a general category such as "L" or "Lu",
// or "Han", has.
std::string YoungerThanPcre(std::string_view property);

}  // namespace sputnik
