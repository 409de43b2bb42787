// Every input that is kept for a fuzz target, in every build: seeds, and what once was a finding.
#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/fuzz/target.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

TEST(FuzzTest, KeptInputsAreTakenOrRefused) {
  EXPECT_GE(fuzz::Targets().size(), 6u);
  for (const fuzz::Target& target : fuzz::Targets()) {
    const fs::path corpus = fs::path(SPUTNIK_SOURCE_DIR) / "tests/fuzz/corpus" / target.name;
    int inputs = 0;
    for (const auto& entry : fs::directory_iterator(corpus)) {
      SCOPED_TRACE(entry.path().string());
      const std::string input = ReadFile(entry.path());
      for (const std::string_view part :
           {std::string_view(input), std::string_view(input).substr(0, input.size() / 2)}) {
        EXPECT_NO_THROW(fuzz::RunOnce(target.run, part));
      }
      ++inputs;
    }
    EXPECT_GT(inputs, 0) << target.name;
  }
}

}  // namespace
}  // namespace sputnik
