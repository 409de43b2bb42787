// The report of a run: one self-contained HTML file (no network), and the same figures as JSON.
#pragma once

#include <filesystem>

namespace sputnik {

// Reads metrics.jsonl, results/, ledger.json and controls/ of a run folder and writes report.html and summary.json
// there. Parts of a run that are missing are left out.
void WriteReport(const std::filesystem::path& run_folder);

}  // namespace sputnik
