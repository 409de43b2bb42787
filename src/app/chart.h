// Drawings as SVG text, to be set into a page that carries ChartStyle(). Pure functions: data in, text out. Colours are
// classes, so that the page's dark and light themes reach them; nothing is told by colour alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sputnik {

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;

// At most `most` (>= 4) points that look the same: the lowest and the highest of each bucket stay, and both ends.
Curve Thin(const Curve& curve, size_t most = 600);

// The mean of each of `buckets` runs of neighbouring points, at their mean x; short curves come back as they are.
Curve BucketMeans(const Curve& curve, size_t buckets);

// Text that is safe inside an element or a quoted attribute. Control characters become their pictures (U+2400…).
std::string EscapeHtml(std::string_view text);

struct LineSeries {
  std::string label;  // stands at the line's end
  Curve curve;
  bool noisy = false;  // drawn faintly, with its bucket means on top
  bool steps = false;  // a value holds until the next one
};

struct LineChart {
  std::string title, x_label = "step";
  std::vector<LineSeries> series;
  bool from_zero = false;  // the y axis contains 0
  bool share = false;      // the y axis is 0 to 100 %
};
// Empty when no series has a point.
std::string DrawLines(const LineChart& chart);

// One row of small curves per entry, all with the same axes, y from 0 to 1.
struct RowChart {
  std::string title, x_label = "step";
  std::vector<LineSeries> rows;  // top to bottom
};
std::string DrawRows(const RowChart& chart);

// Shares with their intervals, one row per label.
struct ShareMark {
  double value, low, high;
};
struct IntervalChart {
  std::string title;
  std::vector<std::string> series;  // names; the first is drawn hollow, the others filled
  struct Row {
    std::string label;
    std::vector<ShareMark> marks;  // one per series; a negative value: none
  };
  std::vector<Row> rows;
};
std::string DrawIntervals(const IntervalChart& chart);

// Counts of the experts of one layer over time: one row per expert, shaded by how far it is from an even share.
struct HeatStrip {
  std::string title;
  std::vector<double> steps;                // of each column
  std::vector<std::vector<double>> columns;  // [time][expert]
};
// At most `most_columns` columns: neighbours are added up.
std::string DrawHeat(const HeatStrip& strip, size_t most_columns = 160);

// The style sheet that the drawings need.
std::string_view ChartStyle();

}  // namespace sputnik
