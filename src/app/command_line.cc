#include "app/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <new>

#include "app/output.h"
#include "base/check.h"
#include "base/log.h"
#include "base/version.h"

namespace sputnik {
namespace {

constexpr std::string_view kProgram = "sputnik";

template <class T>
bool ParseNumber(std::string_view text, T& out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  out = value;
  return true;
}

// Writes a flag's text into what the flag is for.
void Assign(const Field& field, const std::string& text, const std::string& where) {
  const auto refuse = [&](std::string_view expected) {
    ThrowUsage("{}: {} must be {}, not \"{}\"", where, field.name, expected, text);
  };
  if (auto* const* integer = std::get_if<int64_t*>(&field.value)) {
    if (ParseNumber(text, **integer)) return;
    double number = 0;  // 1e6 is a whole number, too
    if (!ParseNumber(text, number) || std::abs(number) > 0x1p53 || number != std::trunc(number)) {
      refuse("a whole number");
    }
    **integer = static_cast<int64_t>(number);
  } else if (auto* const* real = std::get_if<double*>(&field.value)) {
    if (!ParseNumber(text, **real) || std::isnan(**real)) refuse("a number");
  } else if (auto* const* string = std::get_if<std::string*>(&field.value)) {
    **string = text;
  } else if (auto* const* strings = std::get_if<std::vector<std::string>*>(&field.value)) {
    (*strings)->push_back(text);
  } else {
    CHECK(false);
  }
}

// A default worth showing; empty text for "none".
std::string DefaultText(const Field& field) {
  if (auto* const* integer = std::get_if<int64_t*>(&field.value)) return fmt::format("{}", **integer);
  if (auto* const* real = std::get_if<double*>(&field.value)) return fmt::format("{}", **real);
  if (auto* const* string = std::get_if<std::string*>(&field.value)) return **string;
  return {};
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(name, candidates);
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
}

}  // namespace

CommandLine::CommandLine(std::string verb, std::string summary, std::vector<std::string> arguments)
    : verb_(std::move(verb)), summary_(std::move(summary)), arguments_(std::move(arguments)) {
  Field& threads = Flag("--threads,-t N", &global_.threads, "threads; 0: one per processor");
  threads.minimum = 0;
  threads.maximum = 1024;
  Flag("--machine NAME", &global_.machine, "cpu (SIMD) or reference (plain loops, same bits)").choices = {"cpu",
                                                                                                          "reference"};
  Flag("--quiet,-q", &global_.quiet, "only warnings and errors on standard error");
  Flag("--verbose,-v", &global_.verbose, "more on standard error");
  for (const auto& declaration : declarations_) declaration->global = true;
}

CommandLine::~CommandLine() = default;

Field& CommandLine::Declare(std::string_view names, Field::Value value, std::string_view help, bool argument) {
  auto declaration = std::make_unique<Declaration>();
  const size_t space = names.find(' ');
  if (space != names.npos) declaration->placeholder = names.substr(space + 1);
  std::string_view rest = names.substr(0, space);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    declaration->names.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
  }
  declaration->help = help;
  declaration->argument = argument;
  declaration->field = {.name = declaration->names.front(), .value = value, .help = std::string(help)};
  declarations_.push_back(std::move(declaration));
  return declarations_.back()->field;
}

void CommandLine::ModelFlag(std::string* folder, bool as_argument) {
  model_ = folder;
  Flag("--model,-m DIR", folder, "a run folder (its newest checkpoint), a checkpoint, or a Hugging Face model folder");
  if (as_argument) Argument("DIR", &model_argument_, "the same as --model DIR");
}

void CommandLine::AdapterFlag(std::string* folder) {
  Flag("--adapter DIR", folder, "LoRA adapter for the model: PEFT's folder, or a run that learnt one");
}

CommandLine::Declaration* CommandLine::Find(std::string_view name) const {
  for (const auto& declaration : declarations_) {
    const auto& names = declaration->names;
    if (std::find(names.begin(), names.end(), name) != names.end()) return declaration.get();
  }
  return nullptr;
}

void CommandLine::Require(std::string_view name) {
  Declaration* declaration = Find(name);
  CHECK(declaration != nullptr);
  declaration->required = true;
}

void CommandLine::Example(std::string_view command) {
  example_ += fmt::format("{}  {}", example_.empty() ? "" : "\n", command);
}
void CommandLine::Note(std::string_view text) { note_ += fmt::format("{}\n\n", text); }

bool CommandLine::Given(std::string_view name) const {
  const Declaration* declaration = Find(name);
  CHECK(declaration != nullptr);
  return declaration->given;
}

std::string CommandLine::HelpFooter() const { return fmt::format("{}Example:\n{}\n", note_, example_); }

// `--prompt --json` is a forgotten value, not a prompt of "--json".
void CommandLine::CheckValues() const {
  const auto find = [&](std::string_view name) { return name.starts_with('-') ? Find(name) : nullptr; };
  for (size_t i = 0; i + 1 < arguments_.size(); ++i) {
    const Declaration* flag = find(arguments_[i]);
    if (flag == nullptr || std::holds_alternative<bool*>(flag->field.value) || !find(arguments_[i + 1])) continue;
    ThrowUsage("{}: {} needs a value before {}; if that is the value, write {}={}", verb_, arguments_[i],
               arguments_[i + 1], flag->names.front(), arguments_[i + 1]);
  }
}

// What the parser had no use for.
void CommandLine::CheckLeftOver(const std::vector<std::string>& left) const {
  std::vector<std::string> flags = {"--help"};
  for (const auto& declaration : declarations_) {
    if (!declaration->argument) flags.insert(flags.end(), declaration->names.begin(), declaration->names.end());
  }
  for (const std::string& text : left) {
    if (text.size() > 1 && text.starts_with('-')) {
      const std::string name = text.substr(0, text.find('='));
      ThrowUsage("{}: unknown flag {}{} (see {} --help)", verb_, name, DidYouMean(name, flags), verb_);
    }
  }
  if (!left.empty()) ThrowUsage("{}: unexpected argument \"{}\" (see {} --help)", verb_, left.front(), verb_);
}

void CommandLine::FinishModelFlag() {
  if (model_ == nullptr) return;
  if (!model_argument_.empty()) {
    if (!model_->empty()) ThrowUsage("{}: both --model and DIR are given; one of them is enough", verb_);
    *model_ = model_argument_;
    Find("--model")->given = true;
  }
}

bool CommandLine::Parse() {
  CHECK(!example_.empty());
  CheckValues();
  CLI::App app(summary_, verb_);
  app.allow_extras();
  app.set_help_flag("--help,-h", "this text");
  app.footer(HelpFooter());
  std::vector<CLI::Option*> options;
  for (const auto& owned : declarations_) {
    Declaration* d = owned.get();
    std::string names;
    for (const std::string& name : d->names) names += (names.empty() ? "" : ",") + name;
    CLI::Option* option = nullptr;
    if (auto* const* flag = std::get_if<bool*>(&d->field.value)) {
      option = app.add_flag_function(
          names, [flag, d](int64_t) { **flag = d->given = true; }, d->help);
    } else {
      option = app.add_option_function<std::vector<std::string>>(
          names,
          [this, d](const std::vector<std::string>& values) {
            d->given = true;
            for (const std::string& value : values) Assign(d->field, value, verb_);
          },
          d->help);
      const bool list = std::holds_alternative<std::vector<std::string>*>(d->field.value);
      option->type_name(d->placeholder.empty() ? "" : d->placeholder)->default_str(DefaultText(d->field));
      option->type_size(1)->expected(list && d->argument ? CLI::detail::expected_max_vector_size : 1);
      option->allow_extra_args(list && d->argument);
      if (list) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    if (d->global) option->group("Flags of every verb");
  }
  try {
    std::vector<std::string> reversed(arguments_.rbegin(), arguments_.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::string help = app.help();
    for (size_t at; (at = help.find("\n\n\n")) != help.npos;) help.erase(at, 1);
    Print(help);
    return false;
  } catch (const CLI::ParseError& error) {
    ThrowUsage("{}: {} (see {} --help)", verb_, error.what(), verb_);
  }
  CheckLeftOver(app.remaining());
  FinishModelFlag();
  for (const auto& d : declarations_) {
    auto* const* text = std::get_if<std::string*>(&d->field.value);
    const bool there = d->given && (text == nullptr || !(*text)->empty());
    if (d->required && !there) ThrowUsage("{}: {} is missing; for example:\n{}", verb_, d->names.front(), example_);
    CheckField(d->field, verb_);
  }
  if (global_.quiet && global_.verbose) ThrowUsage("{}: --quiet and --verbose exclude each other", verb_);
  if (global_.quiet) SetLogLevel(LogLevel::kWarning);
  if (global_.verbose) SetLogLevel(LogLevel::kDebug);
  return true;
}

namespace {

void PrintOverview(std::span<const Verb> verbs, std::string_view group) {
  std::string text;
  if (group.empty()) {
    text =
        "sputnik trains, improves and runs DeepSeek-class language models on the processors you have.\n\n"
        "Usage: sputnik VERB [FLAGS]\n\nVerbs:\n";
  } else {
    text = fmt::format("Usage: sputnik {} VERB [FLAGS]\n\nVerbs:\n", group);
  }
  for (const Verb& verb : verbs) {
    if (!group.empty() && !verb.name.starts_with(std::string(group) + " ")) continue;
    text += fmt::format("  {:<18} {}\n", verb.name, verb.summary);
  }
  text +=
      "\nFlags of every verb:\n"
      "  --threads,-t N     threads; 0: one per processor\n"
      "  --machine NAME     cpu (SIMD) or reference (plain loops, same bits)\n"
      "  --quiet,-q         only warnings and errors on standard error\n"
      "  --verbose,-v       more on standard error\n"
      "  --help,-h          what a verb does, its flags, and an example\n"
      "  --version          which sputnik this is\n"
      "\nExample:\n";
  text += group.empty()
              ? "  sputnik generate --help\n  sputnik chat runs/demo\n"
              : fmt::format("  sputnik {} --help\n", std::find_if(verbs.begin(), verbs.end(), [&](const Verb& v) {
                                                       return v.name.starts_with(std::string(group) + " ");
                                                     })->name);
  Print(text);
}

// Flags that may stand before the verb; they are read by the verb.
std::vector<std::string> TakeLeadingFlags(std::vector<std::string>& arguments) {
  std::vector<std::string> taken;
  while (!arguments.empty() && arguments.front().size() > 1 && arguments.front().starts_with('-')) {
    const std::string flag = arguments.front();
    const std::string name = flag.substr(0, flag.find('='));
    static const std::vector<std::string> kKnown = {"--threads", "-t", "--machine", "--quiet", "-q",
                                                    "--verbose", "-v", "--help",    "-h",      "--version"};
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end() && !flag.starts_with("-t")) {
      ThrowUsage("{}: unknown flag {}{} (flags of a verb come after it; see sputnik --help)", kProgram, name,
                 DidYouMean(name, kKnown));
    }
    if (name == "--help" || name == "-h" || name == "--version") return taken;
    taken.push_back(flag);
    arguments.erase(arguments.begin());
    if ((flag == "--threads" || flag == "-t" || flag == "--machine") && !arguments.empty()) {
      taken.push_back(arguments.front());
      arguments.erase(arguments.begin());
    }
  }
  return taken;
}

// The names a user may type first: those of verbs and of groups of verbs.
std::vector<std::string> FirstWords(std::span<const Verb> verbs) {
  std::vector<std::string> words;
  for (const Verb& verb : verbs) {
    const std::string word(verb.name.substr(0, verb.name.find(' ')));
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  return words;
}

ExitCode Dispatch(std::span<const Verb> verbs, std::vector<std::string> arguments) {
  const std::vector<std::string> leading = TakeLeadingFlags(arguments);
  if (arguments.empty()) ThrowUsage("{}: which verb? See sputnik --help", kProgram);
  std::string word = arguments.front();
  arguments.erase(arguments.begin());
  if (word == "--help" || word == "-h" || (word == "help" && arguments.empty())) {
    PrintOverview(verbs, "");
    return ExitCode::kOk;
  }
  if (word == "--version") {
    Print(fmt::format("sputnik {}\n", Version()));
    return ExitCode::kOk;
  }
  if (word == "help") {  // "help score" is "score --help"
    arguments.push_back("--help");
    word = arguments.front();
    arguments.erase(arguments.begin());
  }
  const std::vector<std::string> first_words = FirstWords(verbs);
  if (std::find(first_words.begin(), first_words.end(), word) == first_words.end()) {
    ThrowUsage("{}: unknown verb \"{}\"{} (see sputnik --help)", kProgram, word, DidYouMean(word, first_words));
  }
  std::string name = word;
  const auto find = [&] {
    return std::find_if(verbs.begin(), verbs.end(), [&](const Verb& verb) { return verb.name == name; });
  };
  if (find() == verbs.end()) {
    if (!arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h")) {
      PrintOverview(verbs, word);
      return ExitCode::kOk;
    }
    std::vector<std::string> second;
    for (const Verb& verb : verbs) {
      if (verb.name.starts_with(word + " ")) second.emplace_back(verb.name.substr(word.size() + 1));
    }
    std::string list;
    for (const std::string& s : second) list += (list.empty() ? "" : ", ") + s;
    if (arguments.empty()) ThrowUsage("{} {}: expected one of {}", kProgram, word, list);
    name += " " + arguments.front();
    if (find() == verbs.end()) {
      ThrowUsage("{} {}: unknown verb \"{}\"{}; expected one of {}", kProgram, word, arguments.front(),
                 DidYouMean(arguments.front(), second), list);
    }
    arguments.erase(arguments.begin());
  }
  arguments.insert(arguments.begin(), leading.begin(), leading.end());
  CommandLine line(fmt::format("{} {}", kProgram, name), std::string(find()->summary), std::move(arguments));
  return find()->run(line);
}

// One line, and no control characters from a file into a terminal.
int Fail(ExitCode code, std::string_view message) {
  const std::string text = fmt::format("sputnik: error: {}\n", PlainText(message));
  std::fwrite(text.data(), 1, text.size(), stderr);
  return static_cast<int>(code);
}

}  // namespace

int RunCommandLine(std::span<const Verb> verbs, std::vector<std::string> arguments) {
  try {
    const ExitCode code = Dispatch(verbs, std::move(arguments));
    FlushOutput();
    return static_cast<int>(code);
  } catch (const OutputClosed&) {
    return static_cast<int>(ExitCode::kOk);  // whoever read us has read enough
  } catch (const Error& error) {
    return Fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return Fail(ExitCode::kFailure, "out of memory; take a smaller model, context or batch");
  } catch (const std::filesystem::filesystem_error& error) {
    return Fail(ExitCode::kFailure, error.what());
  }
}

}  // namespace sputnik
