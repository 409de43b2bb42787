#include "base/fields.h"

#include <cmath>
#include <limits>

#include "base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

struct Settings {
  bool resume = false;
  int64_t steps = 100;
  double lr = 3e-4;
  std::string schedule = "cosine";
  std::string text = "";
  std::vector<int64_t> levels{1, 2};
  std::vector<double> betas{0.9, 0.95};
  std::vector<std::string> paths;
  double factor = 1;
  int64_t seed = 0;

  // Sections point into this object.
  std::vector<Section> Sections() {
    std::vector<Section> sections(4);
    Fields& train = sections[0].fields;
    sections[0].name = "train";
    train.Add("resume", &resume, "go on from the newest checkpoint");
    train.Add("steps", &steps, "how many").minimum = 1;
    Field& rate = train.Add("learning_rate", &lr, "peak learning rate");
    rate.minimum = 0;
    rate.maximum = 1;
    train.Add("schedule", &schedule, "shape").choices = {"cosine", "constant"};
    train.Add("betas", &betas, "").maximum = 1;
    sections[1].name = "data";
    sections[1].fields.Add("text", &text, "a file");
    sections[1].fields.Add("paths", &paths, "files");
    sections[1].fields.Add("levels", &levels, "digits");
    sections[2].name = "model.rope";
    sections[2].fields.Add("factor", &factor, "");
    sections[3].fields.Add("seed", &seed, "of everything");
    return sections;
  }
};

class FieldsTest : public testing::Test {
 protected:
  void Read(const std::string& toml) {
    WriteFileAtomically(folder_ / "r.toml", toml);
    auto sections = settings_.Sections();
    ReadToml(folder_ / "r.toml", sections);
  }
  // The message without the temporary folder's name.
  std::string ErrorOf(const std::string& toml) {
    std::string message = ExpectError(ExitCode::kUsage, [&] { Read(toml); });
    const std::string prefix = folder_.path().string() + "/";
    EXPECT_TRUE(message.starts_with(prefix)) << message;
    return message.substr(std::min(prefix.size(), message.size()));
  }
  void Set(std::string_view assignment) {
    auto sections = settings_.Sections();
    ApplyOverride(assignment, sections);
  }
  std::string SetError(std::string_view assignment) {
    return ExpectError(ExitCode::kUsage, [&] { Set(assignment); });
  }

  TemporaryFolder folder_;
  Settings settings_;
};

TEST_F(FieldsTest, ReadsEveryType) {
  Read(R"(
seed = 7
[train]
resume = true
steps = 2_000
learning_rate = 1
schedule = "constant"
betas = [0.5, 1]
[data]
text = 'C:\a b'
paths = ["a", "é"]
levels = []
[model.rope]
factor = 40.0
)");
  EXPECT_TRUE(settings_.resume);
  EXPECT_EQ(settings_.steps, 2000);
  EXPECT_EQ(settings_.lr, 1);
  EXPECT_EQ(settings_.schedule, "constant");
  EXPECT_EQ(settings_.betas, (std::vector<double>{0.5, 1}));
  EXPECT_EQ(settings_.text, "C:\\a b");
  EXPECT_EQ(settings_.paths, (std::vector<std::string>{"a", "é"}));
  EXPECT_TRUE(settings_.levels.empty());
  EXPECT_EQ(settings_.factor, 40);
  EXPECT_EQ(settings_.seed, 7);
}

TEST_F(FieldsTest, WhatIsNotNamedKeepsItsDefault) {
  Read("[train]\nsteps = 5\n");
  EXPECT_EQ(settings_.lr, 3e-4);
  EXPECT_EQ(settings_.levels, (std::vector<int64_t>{1, 2}));
  Read("");
  EXPECT_EQ(settings_.steps, 5);
}

TEST_F(FieldsTest, WholeNumbersMayBeWrittenAsPowersOfTen) {
  Read("[train]\nsteps = 1e9\n");
  EXPECT_EQ(settings_.steps, 1'000'000'000);
  EXPECT_EQ(ErrorOf("[train]\nsteps = 1.5\n"), "r.toml:2: train.steps must be a whole number, not 1.5");
  EXPECT_EQ(ErrorOf("[train]\nsteps = 1e300\n"), "r.toml:2: train.steps must be a whole number, not 1e+300");
  EXPECT_EQ(ErrorOf("[train]\nsteps = nan\n"), "r.toml:2: train.steps must be a whole number, not nan");
}

TEST_F(FieldsTest, UnknownNamesGetTheNearestValidOne) {
  EXPECT_EQ(ErrorOf("[train]\nsteps = 5\n\nlearnin_rate = 1\n"),
            "r.toml:4: unknown key train.learnin_rate; did you mean train.learning_rate?");
  EXPECT_EQ(ErrorOf("[train]\nLearning-Rate = 1\n"),
            "r.toml:2: unknown key train.Learning-Rate; did you mean train.learning_rate?");
  EXPECT_EQ(ErrorOf("[trian]\nsteps = 1\n"), "r.toml:1: unknown section [trian]; did you mean [train]?");
  EXPECT_EQ(ErrorOf("[train]\ntext = 'a'\n"), "r.toml:2: unknown key train.text; did you mean data.text?");
  EXPECT_EQ(ErrorOf("[data]\nzzzzzz = 1\n"),
            "r.toml:2: unknown key data.zzzzzz; there are \"text\", \"paths\", \"levels\"");
  EXPECT_EQ(ErrorOf("\n\n[optimizer]\n"),
            "r.toml:3: unknown section [optimizer]; there are \"train\", \"data\", \"model.rope\"");
  EXPECT_EQ(ErrorOf("[model.rop]\nfactor = 1\n"), "r.toml:1: unknown section [model.rop]; did you mean [model.rope]?");
  EXPECT_EQ(ErrorOf("[train.extra]\n"),
            "r.toml:1: unknown section [train.extra]; there are \"train\", \"data\", \"model.rope\"");
}

TEST_F(FieldsTest, WrongTypesSayWhatIsThereAndWhatIsWanted) {
  EXPECT_EQ(ErrorOf("[train]\nsteps = '5'\n"), "r.toml:2: train.steps must be a whole number, not the string \"5\"");
  EXPECT_EQ(ErrorOf("[train]\nresume = 1\n"), "r.toml:2: train.resume must be true or false, not 1");
  EXPECT_EQ(ErrorOf("[train]\nlearning_rate = true\n"), "r.toml:2: train.learning_rate must be a number, not true");
  EXPECT_EQ(ErrorOf("[train]\nlearning_rate = [1]\n"), "r.toml:2: train.learning_rate must be a number, not a list");
  EXPECT_EQ(ErrorOf("[data]\ntext = 2024-01-01\n"), "r.toml:2: data.text must be a string, not a date or time");
  EXPECT_EQ(ErrorOf("[data]\nlevels = 3\n"), "r.toml:2: data.levels must be a list of whole numbers, not 3");
  EXPECT_EQ(ErrorOf("[data]\nlevels = [1, 'a']\n"),
            "r.toml:2: data.levels must be a list of whole numbers, not a list with anything else in it");
  EXPECT_EQ(ErrorOf("[data]\n[data.text]\n"), "r.toml:2: data.text must be a string, not a table");
  EXPECT_EQ(ErrorOf("train = 5\n"), "r.toml:1: train is a section: write [train] and its keys below");
  EXPECT_EQ(ErrorOf("[[train]]\nsteps = 1\n"), "r.toml:1: train is a section: write [train] and its keys below");
}

TEST_F(FieldsTest, RangesAndChoices) {
  EXPECT_EQ(ErrorOf("[train]\nsteps = 0\n"), "r.toml:2: train.steps must be at least 1, not 0");
  EXPECT_EQ(ErrorOf("[train]\nlearning_rate = -0.5\n"),
            "r.toml:2: train.learning_rate must be between 0 and 1, not -0.5");
  EXPECT_EQ(ErrorOf("[train]\nlearning_rate = nan\n"),
            "r.toml:2: train.learning_rate must be between 0 and 1, not nan");
  EXPECT_EQ(ErrorOf("[train]\nbetas = [0.5, 2]\n"), "r.toml:2: train.betas must be at most 1, not 2");
  EXPECT_EQ(
      ErrorOf("[train]\nschedule = 'cosin'\n"),
      "r.toml:2: train.schedule must be one of \"cosine\", \"constant\", not \"cosin\"; did you mean \"cosine\"?");
  EXPECT_EQ(settings_.schedule, "cosine") << "a refused value is not stored";
}

TEST_F(FieldsTest, BrokenFilesNameThePlace) {
  EXPECT_MENTIONS(ErrorOf("[train]\nsteps = \n"), "r.toml:2:");
  EXPECT_MENTIONS(ErrorOf("[train]\nsteps = 1\nsteps = 2\n"), "r.toml:3:");
  EXPECT_MENTIONS(ErrorOf("[train\n"), "not valid TOML");
  EXPECT_MENTIONS(ErrorOf("a = \"\xff\"\n"), "not valid TOML");
  EXPECT_MENTIONS(ErrorOf("a = " + std::string(100'000, '[')), "not valid TOML");
  std::vector<Section> sections = settings_.Sections();
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { ReadToml(folder_ / "none.toml", sections); }), "none.toml");
}

TEST_F(FieldsTest, OverridesTakeTomlAndBareWords) {
  Set("train.steps=12");
  Set("train.learning_rate=1e-3");
  Set("train.resume=true");
  Set("train.schedule=constant");
  Set("data.text=some/path with = and \"quotes\".txt");
  Set("model.rope.factor=4");
  Set("seed=9");
  EXPECT_EQ(settings_.steps, 12);
  EXPECT_EQ(settings_.lr, 1e-3);
  EXPECT_TRUE(settings_.resume);
  EXPECT_EQ(settings_.schedule, "constant");
  EXPECT_EQ(settings_.text, "some/path with = and \"quotes\".txt");
  EXPECT_EQ(settings_.factor, 4);
  EXPECT_EQ(settings_.seed, 9);
  Set("data.text=123");
  EXPECT_EQ(settings_.text, "123") << "a string needs no quotes";
  Set("data.text=\"a\\tb\"");
  EXPECT_EQ(settings_.text, "a\tb");
  Set("data.text=");
  EXPECT_EQ(settings_.text, "");
  Set("data.paths=a,b");
  EXPECT_EQ(settings_.paths, (std::vector<std::string>{"a,b"}));
  Set("data.paths=[\"a\", \"b\"]");
  EXPECT_EQ(settings_.paths, (std::vector<std::string>{"a", "b"}));
  Set("data.levels=3,4,5");
  EXPECT_EQ(settings_.levels, (std::vector<int64_t>{3, 4, 5}));
}

TEST_F(FieldsTest, OverridesAreCheckedLikeTheFile) {
  EXPECT_EQ(SetError("train.steps=many"),
            "--set train.steps=many: train.steps must be a whole number, not the string \"many\"");
  EXPECT_EQ(SetError("train.steps=0"), "--set train.steps=0: train.steps must be at least 1, not 0");
  EXPECT_EQ(SetError("train.step=1"), "--set train.step=1: unknown key train.step; did you mean train.steps?");
  EXPECT_EQ(SetError("tran.steps=1"), "--set tran.steps=1: unknown section [tran]; did you mean [train]?");
  EXPECT_EQ(SetError("train.steps"), "--set train.steps: expected section.key=value");
  EXPECT_MENTIONS(SetError("train.steps=1\nresume=true"), "must be a whole number");
  EXPECT_MENTIONS(SetError("data.text=\xff"), "UTF-8");
  EXPECT_MENTIONS(SetError("=1"), "unknown key");
  EXPECT_MENTIONS(SetError("."), "expected section.key=value");
}

TEST_F(FieldsTest, WhatIsWrittenReadsBackTheSame) {
  settings_.lr = 0.1 + 0.2;
  settings_.factor = 1e-300;
  settings_.steps = std::numeric_limits<int64_t>::max();
  settings_.text = "tab\t \"quote\" \\ line\nbell\a del\x7f é 🦊 # no comment";
  settings_.paths = {"", "]", "a\", \"b"};
  settings_.betas = {0.0, -0.0, 1.0, -std::numeric_limits<double>::infinity()};
  settings_.levels = {-1, 0};
  for (const bool with_help : {true, false}) {
    const std::string written = WriteToml(settings_.Sections(), with_help);
    Settings copy;
    std::vector<Section> sections = copy.Sections();
    // Sections without a name must come first in TOML.
    std::swap(sections[0], sections[3]);
    std::vector<Section> ours = settings_.Sections();
    std::swap(ours[0], ours[3]);
    const std::string first = WriteToml(ours, with_help);
    WriteFileAtomically(folder_ / "w.toml", first);
    ReadToml(folder_ / "w.toml", sections);
    EXPECT_EQ(WriteToml(sections, with_help), first);
    EXPECT_EQ(copy.text, settings_.text);
    EXPECT_EQ(copy.lr, settings_.lr);
    EXPECT_EQ(copy.steps, settings_.steps);
    EXPECT_EQ(copy.paths, settings_.paths);
    EXPECT_TRUE(std::signbit(copy.betas[1]));
    EXPECT_EQ(first.find("# peak learning rate") != first.npos, with_help);
  }
}

TEST(CheckField, NamesThePlaceAndTheField) {
  int64_t heads = 3;
  Fields fields;
  fields.Add("num_heads", &heads, "").minimum = 4;
  EXPECT_EQ(ExpectError(ExitCode::kUsage, [&] { CheckField(*fields.Find("num_heads"), "config.json"); }),
            "config.json: num_heads must be at least 4, not 3");
  heads = 4;
  EXPECT_NO_THROW(CheckField(*fields.Find("num_heads"), "config.json"));
  EXPECT_EQ(fields.Find("num_head"), nullptr);
}

TEST(NearestName, FindsSlipsAndLeavesTheRest) {
  const std::vector<std::string> names{"lr", "steps", "warmup_steps", "batch_tokens", "learning_rate"};
  EXPECT_EQ(NearestName("step", names), "steps");
  EXPECT_EQ(NearestName("setps", names), "steps");
  EXPECT_EQ(NearestName("warm_up_steps", names), "warmup_steps");
  EXPECT_EQ(NearestName("batch-tokens", names), "batch_tokens");
  EXPECT_EQ(NearestName("Lr", names), "lr");
  EXPECT_EQ(NearestName("temperature", names), "");
  EXPECT_EQ(NearestName("xy", names), "");
  EXPECT_EQ(NearestName("", names), "");
  EXPECT_EQ(NearestName(std::string(100'000, 'a'), names), "");
  EXPECT_EQ(NearestName("steps", {}), "");
}

}  // namespace
}  // namespace sputnik
