// What a run has cost, as HTML: tokens, operations, time, energy and money of every stage and control.
#pragma once

#include <string>

#include "app/run_record.h"

namespace sputnik {

std::string LedgerSection(const RunRecord& record);  // empty without a ledger

// Every stage and control added up.
CostRecord TotalCost(const RunRecord& record);

// Every stage and part by name, in the order of the report; what the run and its controls have of the same name added.
std::vector<CostRecord> CostsByName(const RunRecord& record);

}  // namespace sputnik
