// One verb of the program, run on one model folder.
#pragma once

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tests/support/model_folders.h"
#include "tests/support/program.h"

namespace sputnik {

inline std::vector<Json> ParseJsonLines(const std::string& lines) {
  std::istringstream in(lines);
  std::vector<Json> list;
  for (std::string line; std::getline(in, line);) list.push_back(Json::parse(line));
  return list;
}

// Each function runs `sputnik VERB --model FOLDER more...`. A test puts a model into the folder first.
class VerbOnModel : public testing::Test {
 protected:
  explicit VerbOnModel(std::string verb) : verb_(std::move(verb)) {}

  std::string Output(const std::vector<std::string>& more, std::string_view input = {}) const {
    return OutputOf(Arguments(more), input);
  }
  std::vector<Json> Lines(const std::vector<std::string>& more, std::string_view input = {}) const {
    return ParseJsonLines(Output(more, input));
  }
  std::string Complaint(int code, const std::vector<std::string>& more, std::string_view input = {}) const {
    return MessageOf(code, Arguments(more), input);
  }

  TemporaryFolder folder_;
  std::string model_ = folder_.path();

 private:
  std::vector<std::string> Arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {verb_, "--model", model_};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  std::string verb_;
};

}  // namespace sputnik
