#include "task/registry.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(Registry, MakesEveryTaskByItsName) {
  const TemporaryFolder folder;
  TaskOptions options;
  options.file = folder / "p.jsonl";
  std::ofstream(options.file) << "{\"prompt\":\"p\",\"answer\":\"a\"}\n";
  EXPECT_EQ(TaskNames().size(), 4u);
  for (const std::string& name : TaskNames()) EXPECT_EQ(MakeTask(name, options)->name(), name);
}

TEST(Registry, GivesTasksTheirOptions) {
  TaskOptions options;
  options.reversed = false;
  options.scratchpad = true;
  options.numbers = 4;
  options.tries = 0;
  options.multiplier_digits = 2;
  options.format_weight = 0.25;
  const auto make = [&](std::string_view name, int64_t level) {
    return MakeTask(name, options)->Make(1, level, 0, Split::kTrain);
  };
  EXPECT_MENTIONS(make("addition", 3).answer, "<think>");
  const std::string numbers = make("countdown", 9).prompt;
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), ' '), 3);
  const std::string product = make("multiplication", 1).prompt;
  EXPECT_EQ(product.find('='), 4u);
  const Problem sum = make("addition", 3);
  EXPECT_DOUBLE_EQ(MakeTask("addition", options)->Grade(sum, "<think></think><answer></answer>").reward, 0.25);
}

TEST(Registry, NamesTheNearestTask) {
  const std::string message = ExpectError(ExitCode::kUsage, [] { MakeTask("adition", {}); });
  EXPECT_MENTIONS(message, "\"adition\"; did you mean \"addition\"?");
  EXPECT_MENTIONS(message, "addition, countdown, multiplication, jsonl");
  const std::string strange = ExpectError(ExitCode::kUsage, [] { MakeTask("zzzzzzzzzzzzzzzzz", {}); });
  EXPECT_EQ(strange.find("did you mean"), std::string::npos);
}

TEST(Registry, RefusesBrokenOptions) {
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [] { MakeTask("jsonl", {}); }), "no file given");
  TaskOptions options;
  options.numbers = 9;
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { MakeTask("countdown", options); }), "numbers is 9");
}

TEST(Registry, ListsEverySetting) {
  TaskOptions options;
  Fields fields;
  options.ListFields(fields);
  EXPECT_EQ(fields.list().size(), 9u);
  for (const Field& field : fields.list()) EXPECT_FALSE(field.help.empty());
}

}  // namespace
}  // namespace sputnik
