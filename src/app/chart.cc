#include "app/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "app/html.h"

namespace sputnik {
namespace {

constexpr double kWidth = 460;       // of every drawing, in its own units; pages scale it
constexpr double kLetter = 7.1;      // width of a letter, on the safe side: nobody measures fonts here
constexpr size_t kMeanBuckets = 40;  // of a noisy curve
constexpr int kColours = 5;          // classes s0 to s4

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();

  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // A range of one value, or of none, gets a width.
  void Widen() {
    if (low > high) low = high = 0;
    if (low == high) {
      const double half = low == 0 ? 1 : std::abs(low) / 2;
      low -= half;
      high += half;
    }
  }
};

// From values to places on the paper.
struct Axis {
  Range values;
  double begin, end;

  double operator()(double value) const {
    return begin + (value - values.low) / (values.high - values.low) * (end - begin);
  }
};

// Distance of about `count` ticks: 1, 2 or 5 times a power of ten.
double TickDistance(const Range& range, int count) {
  const double rough = (range.high - range.low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) return factor * power;
  }
  return 10 * power;
}

struct Tick {
  double value;
  std::string label;
};

std::vector<Tick> Ticks(const Range& range, int count, bool whole) {
  double distance = TickDistance(range, count);
  if (whole) distance = std::max(distance, 1.0);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(distance) - 1e-9)), 0, 9);
  std::vector<Tick> ticks;
  for (double at = std::ceil(range.low / distance - 1e-9); at * distance <= range.high + 1e-9 * distance; ++at) {
    const double value = at * distance;
    const bool extreme = std::abs(value) >= 1e7 || (distance < 1e-4 && value != 0);
    ticks.push_back({value, extreme ? fmt::format("{:.2g}", value) : GroupedNumber(value == 0 ? 0 : value, decimals)});
  }
  return ticks;
}

std::string Text(double x, double y, std::string_view anchor, std::string_view css, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y, anchor, css,
                     EscapeHtml(text));
}

std::string Line(double x1, double y1, double x2, double y2, std::string_view css) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2, y2,
                     css);
}

std::string Svg(double height, std::string_view title, const std::string& body) {
  return fmt::format("<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
                     kWidth, height, EscapeHtml(title), body);
}

std::string StepAxis(const Axis& x, double y, bool grid, double top) {
  std::string text;
  for (const Tick& tick : Ticks(x.values, 4, true)) {
    text += grid ? Line(x(tick.value), top, x(tick.value), y, "grid")
                 : Line(x(tick.value), y, x(tick.value), y + 4, "axis");
    text += Text(x(tick.value), y + 17, "middle", "tick", tick.label);
  }
  return text + Text((x.begin + x.end) / 2, y + 32, "middle", "tick", "step");
}

// The path's data; a stepped curve goes level to the next point and then up or down.
std::string Path(const Curve& curve, const Axis& x, const Axis& y, bool steps) {
  std::string path;
  for (const Point& point : curve) {
    if (path.empty()) {
      path = fmt::format("M{:.1f} {:.1f}", x(point.x), y(point.y));
    } else if (steps) {
      path += fmt::format("H{:.1f}V{:.1f}", x(point.x), y(point.y));
    } else {
      path += fmt::format("L{:.1f} {:.1f}", x(point.x), y(point.y));
    }
  }
  return path;
}

std::string DrawSeries(const LineSeries& series, int colour, const Axis& x, const Axis& y) {
  if (series.curve.size() == 1) {
    const Point& point = series.curve.front();
    return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"dot s{}\"/>\n", x(point.x), y(point.y),
                       colour);
  }
  const auto line = [&](const Curve& curve, std::string_view css) {
    return fmt::format("<path d=\"{}\" class=\"{} s{}\"/>\n", Path(curve, x, y, series.steps), css, colour);
  };
  if (!series.noisy || series.curve.size() <= kMeanBuckets) return line(Thin(series.curve), "line");
  return line(Thin(series.curve), "line faint") + line(BucketMeans(series.curve, kMeanBuckets), "line");
}

// The last value that is drawn boldly.
double LastValue(const LineSeries& series) {
  return series.noisy ? BucketMeans(series.curve, kMeanBuckets).back().y : series.curve.back().y;
}

struct EndLabel {
  double y;
  int colour;
  std::string text;
};

// Labels beside the ends of their lines, moved apart where lines end close together.
std::string PlaceLabels(std::vector<EndLabel> labels, double x, double top, double bottom) {
  constexpr double kApart = 15;
  std::stable_sort(labels.begin(), labels.end(), [](const EndLabel& a, const EndLabel& b) { return a.y < b.y; });
  double next = top;
  for (EndLabel& label : labels) {
    label.y = std::max(label.y, next);
    next = label.y + kApart;
  }
  double limit = bottom;
  for (auto label = labels.rbegin(); label != labels.rend(); ++label) {
    label->y = std::min(label->y, limit);
    limit = label->y - kApart;
  }
  std::string text;
  for (const EndLabel& label : labels) {
    text += Text(x, label.y + 4, "start", fmt::format("name s{}", label.colour), label.text);
  }
  return text;
}

std::string ValueLabel(double value, bool share) {
  if (share) return PercentText(value);
  if (value == std::round(value) && std::abs(value) < 1e6) return GroupedNumber(value, 0);
  return fmt::format("{:.3g}", value);
}

double TextWidth(std::string_view text) {
  const auto letters = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return static_cast<double>(letters) * kLetter;
}

std::vector<LineSeries> WithPoints(const std::vector<LineSeries>& series) {
  std::vector<LineSeries> kept;
  std::copy_if(series.begin(), series.end(), std::back_inserter(kept), [](const auto& s) { return !s.curve.empty(); });
  return kept;
}

}  // namespace

std::string DrawLines(const LineChart& chart) {
  const std::vector<LineSeries> series = WithPoints(chart.series);
  if (series.empty()) return {};
  constexpr double kTop = 10, kBottom = 205, kHeight = 242;
  Range xs, ys;
  bool whole = true;  // y values, such as levels, that have no fractions
  double label_width = 0;
  std::vector<EndLabel> labels;
  for (const LineSeries& s : series) {
    for (const Point& point : s.curve) {
      xs.Add(point.x);
      ys.Add(point.y);
      whole = whole && point.y == std::round(point.y);
    }
    labels.push_back({LastValue(s), 0, s.label + " " + ValueLabel(LastValue(s), chart.share)});
    label_width = std::max(label_width, TextWidth(labels.back().text));
  }
  if (chart.from_zero) {
    ys.Add(0);
    if (ys.low == 0 && ys.high == 0) ys.high = 1;  // nothing below zero to show
  }
  if (chart.share) ys = {0, 1};
  xs.Widen();
  ys.Widen();
  if (!chart.from_zero && !chart.share) ys.low -= 0.04 * (ys.high - ys.low);  // not along the axis
  std::vector<Tick> ticks = Ticks(ys, 4, whole);
  if (chart.share) ticks = {{0, "0%"}, {0.5, "50%"}, {1, "100%"}};
  double left = 0;
  for (const Tick& tick : ticks) left = std::max(left, TextWidth(tick.label) + 10);
  const Axis x{xs, left, kWidth - label_width - 12}, y{ys, kBottom, kTop};
  std::string body;
  for (const Tick& tick : ticks) {
    body += Line(x.begin, y(tick.value), x.end, y(tick.value), "grid");
    body += Text(x.begin - 8, y(tick.value) + 4, "end", "tick", tick.label);
  }
  body += Line(x.begin, kBottom, x.end, kBottom, "axis") + StepAxis(x, kBottom, false, kTop);
  for (size_t i = 0; i < series.size(); ++i) {
    const int colour = static_cast<int>(i) % kColours;
    body += DrawSeries(series[i], colour, x, y);
    labels[i].y = y(labels[i].y);
    labels[i].colour = colour;
  }
  return Svg(kHeight, chart.title, body + PlaceLabels(std::move(labels), x.end + 7, kTop, kBottom - 5));
}

std::string DrawRows(const LineChart& chart) {
  const std::vector<LineSeries> series = WithPoints(chart.series);
  if (series.empty()) return {};
  const double row = series.size() > 8 ? 20 : 28, gap = 4;
  Range xs;
  double label_width = 0;
  for (const LineSeries& s : series) {
    for (const Point& point : s.curve) xs.Add(point.x);
    label_width = std::max(label_width, TextWidth(s.label));
  }
  xs.Widen();
  const Axis x{xs, label_width + 8, kWidth - 60};
  std::string body;
  double top = 2;
  for (const LineSeries& s : series) {
    const Axis y{{0, 1}, top + row, top};
    const Curve curve = s.noisy ? BucketMeans(s.curve, kMeanBuckets) : Thin(s.curve, 300);
    const std::string path = Path(curve, x, y, false);
    body += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"band\"/>\n",
                        x.begin, top, x.end - x.begin, row);
    body += fmt::format("<path d=\"{}L{:.1f} {:.1f}H{:.1f}Z\" class=\"area s0\"/>\n", path, x(curve.back().x),
                        top + row, x(curve.front().x));
    body += DrawSeries({.label = {}, .curve = curve}, 0, x, y);
    body += Text(x.begin - 8, top + row / 2 + 4, "end", "name", s.label);
    body += Text(kWidth - 2, top + row / 2 + 4, "end", "name", PercentText(curve.back().y));
    top += row + gap;
  }
  return Svg(top + 36, chart.title, body + StepAxis(x, top, false, 0));
}

std::string DrawIntervals(const IntervalChart& chart) {
  if (chart.rows.empty() || chart.series.empty()) return {};
  const auto count = static_cast<double>(chart.series.size());
  const double row = std::max(14.0, 6 + 9 * count), top = 24,
               bottom = top + row * static_cast<double>(chart.rows.size());
  double label_width = 0;
  for (const IntervalChart::Row& r : chart.rows) label_width = std::max(label_width, TextWidth(r.label));
  const Axis x{{0, 1}, label_width + 14, kWidth - 22};
  const auto mark = [](double at_x, double at_y, size_t series) {
    const int colour = static_cast<int>(series) % kColours;
    return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.6\" class=\"{} s{}\"/>\n", at_x, at_y,
                       series == 0 ? "ring" : "dot", colour);
  };
  std::string body;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    body += Line(x(share), top - 2, x(share), bottom, "grid");
    body += Text(x(share), bottom + 17, "middle", "tick", fmt::format("{:.0f}%", 100 * share));
  }
  double key = x.begin + 5;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    body += mark(key, 9, i) + Text(key + 9, 13, "start", "name", chart.series[i]);
    key += TextWidth(chart.series[i]) + 30;
  }
  for (size_t r = 0; r < chart.rows.size(); ++r) {
    const IntervalChart::Row& line = chart.rows[r];
    const double middle = top + row * (static_cast<double>(r) + 0.5);
    body += Text(x.begin - 12, middle + 4, "end", "name", line.label);
    for (size_t i = 0; i < line.marks.size(); ++i) {
      const ShareMark& m = line.marks[i];
      if (m.value < 0) continue;
      const double y = middle + 9 * (static_cast<double>(i) - (count - 1) / 2);
      body += Line(x(m.low), y, x(m.high), y, fmt::format("whisker s{}", static_cast<int>(i) % kColours));
      body += mark(x(m.value), y, i);
    }
  }
  return Svg(bottom + 22, chart.title, body);
}

namespace {

constexpr int kShades = 4;  // of half a doubling each, so that the darkest is four times an even share or a quarter

// -kShades (a quarter or less) to kShades (four times or more).
int Shade(double load, double even) {
  if (load <= 0) return -kShades;
  return static_cast<int>(std::clamp(std::round(2 * std::log2(load / even)), -1.0 * kShades, 1.0 * kShades));
}

std::string Cell(double x, double y, double width, double height, int shade) {
  const double thin = height / 3;
  return shade > 0 ? fmt::format("M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", x, y, width, height, -width)
                   : fmt::format("M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", x, y + thin, width, thin, -width);
}

std::string_view ShadeClass(int shade) {
  static constexpr std::string_view kClasses[] = {"under h4", "under h3", "under h2", "under h1", "",
                                                  "over h1",  "over h2",  "over h3",  "over h4"};
  return kClasses[shade + kShades];
}

}  // namespace

std::string DrawHeat(const HeatStrip& strip, size_t most_columns) {
  if (strip.columns.empty() || strip.columns.front().empty()) return {};
  const size_t experts = strip.columns.front().size(), columns = std::min(strip.columns.size(), most_columns);
  const double cell = std::clamp(112 / static_cast<double>(experts), 1.0, 9.0);
  const double top = 2, bottom = top + cell * static_cast<double>(experts);
  Range steps;
  for (const double step : strip.steps) steps.Add(step);
  steps.Widen();
  const Axis x{steps, 34, kWidth - 20};
  const double width = (x.end - x.begin) / static_cast<double>(columns);
  std::vector<std::vector<int>> shades(experts);
  for (size_t c = 0; c < columns; ++c) {
    std::vector<double> sum(experts, 0);
    double total = 0;
    for (size_t t = strip.columns.size() * c / columns; t < strip.columns.size() * (c + 1) / columns; ++t) {
      for (size_t e = 0; e < experts; ++e) {
        sum[e] += strip.columns[t][e];
        total += strip.columns[t][e];
      }
    }
    const double even = total / static_cast<double>(experts);
    for (size_t e = 0; e < experts; ++e) shades[e].push_back(total > 0 ? Shade(sum[e], even) : 0);
  }
  std::string paths[2 * kShades + 1];
  for (size_t e = 0; e < experts; ++e) {
    for (size_t c = 0, end = 0; c < columns; c = end) {
      for (end = c; end < columns && shades[e][end] == shades[e][c]; ++end) {
      }
      const auto index = static_cast<size_t>(shades[e][c] + kShades);
      paths[index] += Cell(x.begin + width * static_cast<double>(c), top + cell * static_cast<double>(e),
                           width * static_cast<double>(end - c), cell, shades[e][c]);
    }
  }
  std::string body =
      fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"band\"/>\n", x.begin, top,
                  x.end - x.begin, bottom - top);
  for (int shade = -kShades; shade <= kShades; ++shade) {
    const std::string& path = paths[shade + kShades];
    if (shade != 0 && !path.empty()) body += fmt::format("<path d=\"{}\" class=\"{}\"/>\n", path, ShadeClass(shade));
  }
  body += Text(x.begin - 7, top + 9, "end", "tick", "0");
  body += Text(x.begin - 7, bottom, "end", "tick", std::to_string(experts - 1));
  return Svg(bottom + 38, strip.title, body + StepAxis(x, bottom, false, top));
}

std::string DrawHeatKey() {
  std::string body = "<rect x=\"0\" y=\"2\" width=\"270\" height=\"14\" class=\"band\"/>\n";
  for (int shade = -kShades; shade <= kShades; ++shade) {
    const double x = 30.0 * (shade + kShades);
    if (shade != 0) {
      body += fmt::format("<path d=\"{}\" class=\"{}\"/>\n", Cell(x, 2, 30, 14, shade), ShadeClass(shade));
    }
    if (shade % 2 != 0) continue;
    static constexpr std::string_view kNames[] = {"\u2264 \u00BC", "\u00BD", "even", "2\u00D7", "\u2265 4\u00D7"};
    body += Text(x + 15, 30, "middle", "tick", kNames[(shade + kShades) / 2]);
  }
  return Svg(36, "Key: tokens of an expert against an even share", body);
}

std::string_view ChartStyle() {
  return R"(.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{font-size:12px;fill:currentColor}
.chart .tick{fill:var(--soft)}
.chart .grid,.chart .axis{stroke:var(--rule);stroke-width:1}
.chart .axis{stroke:var(--soft)}
.chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.chart .faint{stroke-width:1;opacity:.3}
.chart .area{opacity:.2;stroke:none}
.chart .band{fill:var(--band)}
.chart .whisker{stroke-width:2;opacity:.75}
.chart .ring{fill:var(--paper);stroke-width:1.8}
.s0{--ink:var(--c0)}.s1{--ink:var(--c1)}.s2{--ink:var(--c2)}.s3{--ink:var(--c3)}.s4{--ink:var(--c4)}
.chart .line,.chart .whisker,.chart .ring{stroke:var(--ink)}
.chart .area,.chart .dot{fill:var(--ink)}
.chart text[class*="name s"]{fill:var(--ink)}
.chart .line.s1{stroke-dasharray:7 3}.chart .line.s2{stroke-dasharray:2 3}.chart .line.s3{stroke-dasharray:9 3 2 3}
.chart .faint{stroke-dasharray:none!important}
.chart .over{fill:var(--c1)}.chart .under{fill:var(--c0)}
.chart .h1{opacity:.3}.chart .h2{opacity:.5}.chart .h3{opacity:.75}.chart .h4{opacity:1}
@media (max-width:560px){.chart text{font-size:13.5px}}
)";
}

}  // namespace sputnik
