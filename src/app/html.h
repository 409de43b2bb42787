// Text and numbers as they stand in a page.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

// Text that is safe inside an element or a quoted attribute. Control characters become their pictures (U+2400 and on),
// line breaks and tabs stay.
std::string EscapeHtml(std::string_view text);

// At most `bytes` of it and a mark that something is missing; no character is cut in two.
std::string Shortened(std::string_view text, size_t bytes);

std::string GroupedNumber(int64_t number);               // 1234567 as 1,234,567
std::string GroupedNumber(double number, int decimals);  // 1234.5 as 1,234.5
std::string PercentText(double share);                   // 0.9345 as 93.5%

// Pieces of a page; what is given is HTML already, a caption plain text. A figure without a drawing, and a grid without
// figures, are empty.
std::string Figure(const std::string& caption, const std::string& drawing);
std::string Grid(const std::string& figures);                               // side by side where there is room
std::string Cells(const char* tag, const std::vector<std::string>& cells);  // a row of <th> or <td>
std::string Table(const std::string& head, const std::string& rows, std::string_view css);

}  // namespace sputnik
