// The page of a run's report: HTML in one piece, without a script and without anything from elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "app/run_record.h"

namespace sputnik {

// Parts that the record lacks are left out with their headings.
std::string ReportPage(const RunRecord& record, int64_t peak_bytes);

}  // namespace sputnik
