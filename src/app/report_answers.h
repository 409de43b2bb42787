// What a report says of the model's answers, as HTML; a section is empty when the record has nothing to show in it.
#pragma once

#include <string>

#include "app/run_record.h"

namespace sputnik {

std::string AccuracySection(const RunRecord& record);  // by task and level, before and after improvement
std::string SamplesSection(const RunRecord& record);   // the same prompts side by side
std::string ControlsSection(const RunRecord& record);  // improvement beside its controls, from their common start

}  // namespace sputnik
