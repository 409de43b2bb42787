#include "app/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sputnik {

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      case '\n':
      case '\t': escaped += c; break;
      case '\x7F': escaped += "\u2421"; break;
      default:
        if (byte < 0x20) {
          escaped += "\xE2\x90";  // U+2400 to U+241F, the pictures of control characters
          escaped += static_cast<char>(0x80 + byte);
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

std::string Shortened(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return std::string(text.substr(0, bytes)) + " […]";
}

std::string GroupedNumber(double number, int decimals) {
  std::string text = fmt::format("{:.{}f}", std::abs(number), decimals);
  const auto point = static_cast<int64_t>(std::min(text.find('.'), text.size()));
  for (int64_t at = point - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return (number < 0 ? "\u2212" : "") + text;
}

std::string GroupedNumber(int64_t number) { return GroupedNumber(static_cast<double>(number), 0); }

std::string PercentText(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string Figure(const std::string& caption, const std::string& drawing) {
  if (drawing.empty()) return {};
  return fmt::format("<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n", EscapeHtml(caption), drawing);
}

std::string Grid(const std::string& figures) {
  return figures.empty() ? std::string() : "<div class=\"grid\">\n" + figures + "</div>\n";
}

std::string Table(const std::string& head, const std::string& rows, std::string_view css) {
  return fmt::format(
      "<div class=\"scroll\"><table class=\"{}\">\n<thead>{}</thead>\n<tbody>\n{}</tbody>\n</table></div>\n", css, head,
      rows);
}

std::string Cells(const char* tag, const std::vector<std::string>& cells) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) row += fmt::format("<{0}>{1}</{0}>", tag, cell);
  return row + "</tr>\n";
}

}  // namespace sputnik
