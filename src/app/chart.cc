#include "app/chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace sputnik {

Curve Thin(const Curve& curve, size_t most) {
  if (curve.size() <= most) return curve;
  const size_t buckets = (most - 2) / 2, inner = curve.size() - 2;
  Curve thin = {curve.front()};
  for (size_t b = 0; b < buckets; ++b) {
    const auto begin = curve.begin() + 1 + static_cast<std::ptrdiff_t>(inner * b / buckets);
    const auto end = curve.begin() + 1 + static_cast<std::ptrdiff_t>(inner * (b + 1) / buckets);
    auto [low, high] = std::minmax_element(begin, end, [](const Point& p, const Point& q) { return p.y < q.y; });
    if (high < low) std::swap(low, high);
    thin.push_back(*low);
    if (high != low) thin.push_back(*high);
  }
  thin.push_back(curve.back());
  return thin;
}

Curve BucketMeans(const Curve& curve, size_t buckets) {
  if (curve.size() <= buckets) return curve;
  Curve means;
  for (size_t b = 0; b < buckets; ++b) {
    const size_t begin = curve.size() * b / buckets, end = curve.size() * (b + 1) / buckets;
    Point sum{0, 0};
    for (size_t i = begin; i < end; ++i) {
      sum.x += curve[i].x;
      sum.y += curve[i].y;
    }
    const auto count = static_cast<double>(end - begin);
    means.push_back({sum.x / count, sum.y / count});
  }
  return means;
}

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
      default:
        if (byte < 0x20 && c != '\n' && c != '\t') {
          escaped += "\xE2\x90";
          escaped += static_cast<char>(0x80 + byte);
        } else if (byte == 0x7F) {
          escaped += "\xE2\x90\xA1";
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

}  // namespace sputnik
