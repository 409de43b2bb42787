#include "app/report_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/chart.h"
#include "app/html.h"
#include "app/report_answers.h"
#include "app/report_curves.h"
#include "app/report_ledger.h"
#include "app/run_score.h"
#include "base/version.h"

namespace sputnik {
namespace {

// The page's own style: light by default, dark where the reader's system is.
constexpr std::string_view kStyle =
    R"(:root{color-scheme:light dark;--paper:#fdfdfc;--text:#1d2126;--soft:#626b75;--rule:#dfe2e6;
--band:#eef0f2;--good:#17733f;--bad:#b3261e;--c0:#1663b5;--c1:#b9540a;--c2:#17733f;--c3:#7b46b3;--c4:#5d6671}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--text:#e4e7ea;--soft:#98a2ad;--rule:#30363c;--band:#21262b;
--good:#57c98a;--bad:#ff8a80;--c0:#66b1ff;--c1:#f5a15b;--c2:#57c98a;--c3:#c6a0f5;--c4:#aab3bd}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:66rem;background:var(--paper);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums;
-webkit-text-size-adjust:100%}
h1{font-size:1.9rem;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:3rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p{margin:.25rem 0 1rem;max-width:46rem}
.note,figcaption,small,footer{color:var(--soft)}
.note,footer{font-size:.875rem}
small{font-size:.8em;font-weight:400}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(11.5rem,45%),1fr));
gap:1.25rem 1.5rem;margin:1.75rem 0 0;padding:0}
.tiles div{border-top:2px solid var(--rule);padding-top:.5rem}
.tiles .lead{border-color:var(--c0)}
.tiles dt{font-size:.8125rem;color:var(--soft)}
.tiles dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.3}
@media (max-width:35rem){.tiles dd{font-size:1.1rem}}
.tiles dd small{display:block;font-size:.8125rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));
gap:1.75rem 2.25rem;align-items:start}
.grid>*{min-width:0}
.scroll+.grid,.grid+.grid{margin-top:1.75rem}
@media (min-width:58rem){.split{grid-template-columns:minmax(0,1.55fr) minmax(0,1fr)}}
figure{margin:0;max-width:32rem}
figcaption{font-size:.875rem;margin-bottom:.5rem}
.key{max-width:34rem;margin-bottom:1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;width:100%}
th,td{padding:.3rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{font-weight:600;vertical-align:bottom;line-height:1.3}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
.numbers th+th,.numbers td+td{text-align:right;white-space:nowrap}
.numbers td small{display:inline-block;min-width:5.6rem}
.summed tbody tr:last-child{font-weight:600}
.samples{min-width:40rem}
code,pre{font:.8125rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
td code{white-space:pre-wrap;overflow-wrap:anywhere}
pre{overflow-x:auto;background:var(--band);padding:1rem;border-radius:.4rem}
.right{color:var(--good);font-weight:700}.wrong{color:var(--bad);font-weight:700}
details{margin-top:1rem}summary{cursor:pointer;color:var(--soft)}
footer{margin-top:3rem;border-top:1px solid var(--rule);padding-top:.75rem}
@media print{body{max-width:none;padding:0}.grid{break-inside:avoid}}
)";

std::string Section(const std::string& title, const std::string& body) {
  return body.empty() ? std::string() : "<section>\n<h2>" + title + "</h2>\n" + body + "</section>\n";
}

std::string Tile(const std::string& name, const std::string& value, const std::string& note, bool lead = false) {
  return fmt::format("<div{}><dt>{}</dt><dd>{}{}</dd></div>\n", lead ? " class=\"lead\"" : "", name, value,
                     note.empty() ? "" : "<small>" + note + "</small>");
}

std::string ScoreTiles(const RunRecord& record) {
  const std::vector<StageScore> scores = ScoreStages(record.results);
  std::string tiles;
  for (const StageScore& after : scores) {
    if (after.stage != "improve") continue;
    const auto before = std::find_if(scores.begin(), scores.end(), [&](const StageScore& s) {
      return s.stage == "sft" && s.task == after.task && s.split == after.split;
    });
    const bool both = before != scores.end();
    const std::string arrow = " <span aria-label=\"to\">\u2192</span> ";
    const std::string interval = fmt::format("95%: {:.1f} to {:.1f}", 100 * after.low, 100 * after.high);
    tiles += Tile(EscapeHtml(after.task) + (after.split == "held_out" ? ", held-out" : ", training") + " pass@1",
                  (both ? PercentText(before->pass_at_1) + arrow : "") + PercentText(after.pass_at_1), interval, true);
    if (after.levels < 2) continue;
    tiles += Tile("Levels solved at \u2265 90%",
                  (both ? fmt::format("{}{}", before->solved_up_to, arrow) : "") + std::to_string(after.solved_up_to),
                  fmt::format("with all below it; {} measured", after.levels), true);
  }
  return tiles;
}

std::string GapTile(double gap) {
  const std::string name = "Training against sampling", note = "largest gap of log-probabilities";
  if (gap == 0) return Tile(name, "exactly 0", note);
  return Tile(name, fmt::format("<span class=\"wrong\">{:.3g}</span>", gap), note + "; it must be 0");
}

std::string Duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.1f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string Tiles(const RunRecord& record, int64_t peak_bytes) {
  std::string tiles = ScoreTiles(record);
  for (const StageRecord& stage : record.run.stages) {
    const Curve* bits = stage.Find("val_bpb");
    if (bits == nullptr) continue;
    const Curve *low = stage.Find("val_bpb_ci95_low"), *high = stage.Find("val_bpb_ci95_high");
    const std::string interval =
        low != nullptr && high != nullptr ? fmt::format("; 95%: {:.3f} to {:.3f}", low->back().y, high->back().y) : "";
    tiles += Tile("Held-out text", fmt::format("{:.3f}", bits->back().y),
                  "bits per byte, end of " + EscapeHtml(stage.name) + interval);
  }
  if (const auto gap = record.LargestGap()) tiles += GapTile(*gap);
  const CostRecord total = TotalCost(record);
  if (total.wall_seconds > 0) {
    tiles += Tile("Time, all in all", Duration(total.wall_seconds),
                  GroupedNumber(total.core_seconds, 0) + " core-seconds" +
                      (record.controls.empty() ? "" : ", controls included"));
    tiles += Tile("Cost", fmt::format("{:.4f} {}", total.core_cost + total.energy_cost, EscapeHtml(total.currency)),
                  fmt::format("rent and {:.2f} Wh", 1000 * total.energy_kwh));
  }
  if (peak_bytes > 0) tiles += Tile("Peak memory", GroupedNumber(peak_bytes >> 20) + " MiB", "of the process");
  return tiles.empty() ? tiles : "<dl class=\"tiles\">\n" + tiles + "</dl>\n";
}

std::string ShapeText(const ShapeRecord& shape) {
  std::string text = fmt::format("{} parameters", GroupedNumber(shape.parameters));
  if (shape.active_parameters != shape.parameters) {
    text += fmt::format(", {} of them active per token", GroupedNumber(shape.active_parameters));
  }
  text += fmt::format("; {} layers", shape.layers);
  if (shape.experts > 0) {
    text += fmt::format(", {} with {} routed experts of which a token takes {}", shape.expert_layers.size(),
                        shape.experts, shape.experts_per_token);
  }
  if (shape.mtp_layers > 0) text += fmt::format("; {} more to predict further ahead", shape.mtp_layers);
  return text + ".";
}

}  // namespace

std::string ReportPage(const RunRecord& record, int64_t peak_bytes) {
  const std::string name = EscapeHtml(record.run.name);
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}: report of a run</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<header>\n<h1>{}</h1>\n",
      name, kStyle, ChartStyle(), name);
  if (record.shape) page += "<p class=\"note\">" + ShapeText(*record.shape) + "</p>\n";
  page += Tiles(record, peak_bytes) + "</header>\n<main>\n";
  page += Section("Accuracy", AccuracySection(record));
  page += Section("Improvement", ImproveCurves(record));
  page += Section("Controls", ControlsSection(record));
  page += Section("Answers", SamplesSection(record));
  page += Section("Supervised training", TextCurves(record));
  page += Section("Expert load", LoadSection(record));
  page += Section("Ledger", LedgerSection(record));
  if (!record.recipe.empty()) {
    page += Section("Recipe", "<details><summary>every setting of this run</summary>\n<pre>" +
                                  EscapeHtml(record.recipe) + "</pre></details>\n");
  }
  return page + fmt::format(
                    "</main>\n<footer>sputnik {}. The same figures for scripts: summary.json; step by step: "
                    "metrics.jsonl.</footer>\n</body>\n</html>\n",
                    EscapeHtml(Version()));
}

}  // namespace sputnik
