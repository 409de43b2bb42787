#include "app/report_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/html.h"
#include "train/ledger.h"

namespace sputnik {
namespace {

void Add(const CostRecord& cost, CostRecord& total) {
  total.trained_tokens += cost.trained_tokens;
  total.generated_tokens += cost.generated_tokens;
  total.flops += cost.flops;
  total.wall_seconds += cost.wall_seconds;
  total.core_seconds += cost.core_seconds;
  total.energy_kwh += cost.energy_kwh;
  total.energy_cost += cost.energy_cost;
  total.core_cost += cost.core_cost;
  if (total.currency.empty()) total.currency = cost.currency;
}

// Adds to the record of the same name, or as a new one.
void Merge(const CostRecord& cost, std::vector<CostRecord>& costs) {
  const auto same =
      std::find_if(costs.begin(), costs.end(), [&](const CostRecord& c) { return c.stage == cost.stage; });
  if (same == costs.end()) {
    costs.push_back(cost);
  } else {
    Add(cost, *same);
  }
}

// The scale that keeps the largest figure of a column readable.
struct Unit {
  double size;
  const char* name;
};

Unit UnitOf(double largest) {
  for (const Unit unit : {Unit{1e18, "exa"}, Unit{1e15, "peta"}, Unit{1e12, "tera"}}) {
    if (largest >= unit.size) return unit;
  }
  return {1e9, "giga"};
}

// The prices that the ledger's figures were made with, read off its largest sum.
std::string PricesText(const CostRecord& total) {
  if (total.core_seconds <= 0) return {};
  std::string text = fmt::format("{:.4g} W per busy core (an estimate, not a measurement)",
                                 total.energy_kwh * 3.6e6 / total.core_seconds);
  if (total.energy_kwh > 0) {
    text += fmt::format(", {:.4g} {} per kWh", total.energy_cost / total.energy_kwh, EscapeHtml(total.currency));
  }
  return text + fmt::format(", {:.4g} {} per core-hour of rent", total.core_cost / total.core_seconds * 3600,
                            EscapeHtml(total.currency));
}

}  // namespace

CostRecord TotalCost(const RunRecord& record) {
  CostRecord total;
  for (const CostRecord& cost : record.run.costs) Add(cost, total);
  for (const CourseRecord& control : record.controls) {
    for (const CostRecord& cost : control.costs) Add(cost, total);
  }
  return total;
}

std::vector<CostRecord> CostsByName(const RunRecord& record) {
  std::vector<CostRecord> costs;
  for (const CostRecord& cost : record.run.costs) Merge(cost, costs);
  for (const CourseRecord& control : record.controls) {
    for (const CostRecord& cost : control.costs) Merge(cost, costs);
  }
  return costs;
}

std::string LedgerSection(const RunRecord& record) {
  const CostRecord total = TotalCost(record);
  if (total.wall_seconds <= 0) return {};
  const Unit flops = UnitOf(total.flops);
  std::string rows;
  int count = 0;
  const auto add = [&](const std::string& name, const CostRecord& cost) {
    std::string peak;
    if (record.peak_flops > 0 && cost.wall_seconds > 0 && cost.flops > 0) {
      peak = PercentText(cost.flops / (cost.wall_seconds * record.peak_flops));
    }
    rows += Cells("td", {EscapeHtml(name), GroupedNumber(cost.trained_tokens), GroupedNumber(cost.generated_tokens),
                         GroupedNumber(cost.flops / flops.size, 2), GroupedNumber(cost.wall_seconds, 1),
                         GroupedNumber(cost.core_seconds, 1), peak, GroupedNumber(1000 * cost.energy_kwh, 3),
                         GroupedNumber(cost.energy_cost, 5), GroupedNumber(cost.core_cost, 5)});
    ++count;
  };
  CostRecord run;
  for (const CostRecord& cost : record.run.costs) {
    add(StageTitle(cost.stage), cost);
    Add(cost, run);
  }
  const bool controls = run.wall_seconds < total.wall_seconds;
  if (controls && record.run.costs.size() > 1) add("Together, without controls", run);
  std::vector<CostRecord> parts;  // beside the controls' stages
  for (const CourseRecord& control : record.controls) {
    for (const CostRecord& cost : control.costs) {
      if (cost.stage == kEvaluationPart || cost.stage == kOtherPart) {
        Merge(cost, parts);
      } else {
        add(StageTitle(cost.stage), cost);
      }
    }
  }
  for (const CostRecord& part : parts) add("Controls: " + StageTitle(part.stage), part);
  const bool summed = count > 1;
  if (summed) add("Total", total);
  const std::string currency = EscapeHtml(total.currency);
  std::string head =
      Cells("th", {"Stage", "Tokens<br><small>trained</small>", "Tokens<br><small>generated</small>",
                   fmt::format("Operations<br><small>{}</small>", flops.name), "Wall<br><small>s</small>",
                   "Cores<br><small>core-s</small>", "Share<br><small>of peak</small>", "Energy<br><small>Wh</small>",
                   fmt::format("Electricity<br><small>{}</small>", currency),
                   fmt::format("Rent<br><small>{}</small>", currency)});
  std::string note =
      "The whole run up to this report: of the stages their steps and rollouts, the rest below them. Prices: " +
      PricesText(total) + ".";
  if (record.peak_flops > 0) {
    note += fmt::format(" Measured peak of this machine's cores: {:.1f} GFLOP/s in float32.", record.peak_flops / 1e9);
  }
  return "<p class=\"note\">" + note + "</p>\n" + Table(head, rows, summed ? "numbers summed" : "numbers");
}

}  // namespace sputnik
