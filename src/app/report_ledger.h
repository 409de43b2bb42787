// What a run has cost, as HTML: tokens, operations, time, energy and money of every stage and control.
#pragma once

#include <string>

#include "app/run_record.h"

namespace sputnik {

std::string LedgerSection(const RunRecord& record);  // empty without a ledger

// Every stage and control added up.
CostRecord TotalCost(const RunRecord& record);

}  // namespace sputnik
