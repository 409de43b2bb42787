// Drawings as SVG text, to be set into a page that carries ChartStyle(). Pure functions: data in, text out. Colours are
// classes, so that a page's dark and light themes reach them, and nothing is told by colour alone. A drawing without
// data is empty text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/curve.h"

namespace sputnik {

struct LineSeries {
  std::string label;  // stands at the line's end
  Curve curve;
  bool noisy = false;  // drawn faintly, with its bucket means on top
  bool steps = false;  // a value holds until the next one
};

struct LineChart {
  std::string title;  // for those who cannot see it
  std::vector<LineSeries> series;
  bool from_zero = false;  // the y axis contains 0
  bool share = false;      // the y axis is 0 to 100%
};
std::string DrawLines(const LineChart& chart);

// A row with a small curve per entry, top to bottom, all with the same x axis and y from 0 to 1.
std::string DrawRows(const LineChart& chart);

// Shares with their intervals, one row per label.
struct ShareMark {
  double value = -1, low = 0, high = 0;  // a negative value: none
};
struct IntervalChart {
  struct Row {
    std::string label;
    std::vector<ShareMark> marks;  // one per series
  };
  std::string title;
  std::vector<std::string> series;  // the first is drawn hollow, the others filled
  std::vector<Row> rows;
};
std::string DrawIntervals(const IntervalChart& chart);

// Tokens of one layer's experts over time, a row per expert. Shown is the ratio to an even share: more is a full cell,
// less a thin one, and the paler the closer to even.
struct HeatStrip {
  std::string title;
  std::vector<double> steps;                 // of each column
  std::vector<std::vector<double>> columns;  // [time][expert], all of one length
};
// At most `most_columns` columns: neighbours are added up.
std::string DrawHeat(const HeatStrip& strip, size_t most_columns = 120);
std::string DrawHeatKey();

// The style sheet of all drawings.
std::string_view ChartStyle();

}  // namespace sputnik
