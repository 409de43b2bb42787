// What a report draws over the steps of a run, as HTML; a section is empty when the record has nothing to show in it.
#pragma once

#include <string>

#include "app/run_record.h"

namespace sputnik {

std::string TextCurves(const RunRecord& record);     // the supervised stages: losses, held-out bits per byte
std::string ImproveCurves(const RunRecord& record);  // reward, curriculum, accuracy by level
std::string LoadSection(const RunRecord& record);    // tokens of each layer's experts

}  // namespace sputnik
