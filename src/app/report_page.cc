#include "app/report_page.h"

#include <fmt/format.h>

#include "app/run_score.h"

namespace sputnik {

std::string ReportPage(const RunRecord& record, int64_t peak_bytes) {
  std::string page = fmt::format("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<h1>{0}</h1>\n<table>\n",
                                 EscapeHtml(record.run.name));
  for (const ResultRecord& result : record.results) {
    page += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3f} [{:.3f}, {:.3f}]</td></tr>\n",
                        EscapeHtml(result.stage), EscapeHtml(result.task), result.level, result.pass_at_1, result.low,
                        result.high);
  }
  return page + fmt::format("</table>\n<p>Peak memory: {} MiB</p>\n", peak_bytes >> 20);
}

}  // namespace sputnik
