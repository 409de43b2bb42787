#include "app/report_ledger.h"

#include <gtest/gtest.h>

#include "tests/support/markup.h"

namespace sputnik {
namespace {

// Two cores for half an hour at 10 W, 0.5 EUR per kWh and 0.03 EUR per core-hour.
CostRecord HalfAnHour(const std::string& stage) {
  return {.stage = stage,
          .trained_tokens = 1000000,
          .generated_tokens = 2000,
          .flops = 9e13,
          .wall_seconds = 1800,
          .core_seconds = 3600,
          .energy_kwh = 0.01,
          .energy_cost = 0.005,
          .core_cost = 0.03,
          .currency = "E<R"};
}

TEST(ReportLedger, ShowsFiguresAndPrices) {
  RunRecord record;
  record.peak_flops = 200e9;
  record.run.costs = {HalfAnHour("sft")};
  const std::string text = LedgerSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(text, "10 W per busy core");
  EXPECT_MENTIONS_ONCE(text, "0.5 E&lt;R per kWh, 0.03 E&lt;R per core-hour");
  EXPECT_MENTIONS_ONCE(text, "200.0 GFLOP/s");
  EXPECT_MENTIONS_ONCE(text,
                       "<td>Fine-tuning</td><td>1,000,000</td><td>2,000</td><td>90.00</td><td>1,800.0</td>"
                       "<td>3,600.0</td><td>25.0%</td><td>10.000</td><td>0.00500</td><td>0.03000</td>");
  EXPECT_EQ(CountOf(text, "Total"), 0u);  // of one row
}

TEST(ReportLedger, AddsUpStagesAndControls) {
  RunRecord record;
  record.run.costs = {HalfAnHour("sft"), HalfAnHour("improve")};
  record.controls.resize(1);
  record.controls[0].costs = {HalfAnHour("control_random")};
  EXPECT_EQ(TotalCost(record).core_seconds, 3 * 3600);
  EXPECT_EQ(TotalCost(record).trained_tokens, 3000000);
  const std::string text = LedgerSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(text, "<td>Together, without controls</td><td>2,000,000</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>Total</td><td>3,000,000</td>");
}

// Each course evaluates and saves; the controls' shares are shown together, and in the sum like everything.
TEST(ReportLedger, WhatIsDoneBesideTheStagesIsShown) {
  RunRecord record;
  record.peak_flops = 200e9;
  record.run.costs = {HalfAnHour("sft"), HalfAnHour("evaluation"), HalfAnHour("other")};
  record.run.costs[2].flops = 0;
  record.controls.resize(2);
  record.controls[0].costs = {HalfAnHour("control_random"), HalfAnHour("evaluation")};
  record.controls[1].costs = {HalfAnHour("control_continued_sft"), HalfAnHour("evaluation")};
  const std::string text = LedgerSection(record);
  EXPECT_EQ(WrongNesting(text), "");
  EXPECT_MENTIONS_ONCE(text, "<td>Evaluation</td><td>1,000,000</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>0.00</td><td>1,800.0</td><td>3,600.0</td><td></td>");  // no share of peak
  EXPECT_MENTIONS_ONCE(text, "<td>Controls: Evaluation</td><td>2,000,000</td>");
  EXPECT_MENTIONS_ONCE(text, "<td>Total</td><td>7,000,000</td>");
  const std::vector<CostRecord> costs = CostsByName(record);
  ASSERT_EQ(costs.size(), 5u);
  EXPECT_EQ(costs[1].stage, "evaluation");
  EXPECT_EQ(costs[1].wall_seconds, 3 * 1800);
}

TEST(ReportLedger, NoLedgerIsNoSection) { EXPECT_EQ(LedgerSection({}), ""); }

}  // namespace
}  // namespace sputnik
