// The command line: the choice of a verb, and the flags and arguments that a verb declares, reads and explains.
// The parser's library (CLI11) stays behind this room.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fields.h"

namespace sputnik {

// What every verb understands.
struct GlobalFlags {
  int64_t threads = 0;  // 0: one per processor this process may run on
  std::string machine = "cpu";
  bool quiet = false, verbose = false;
};

// One verb's command line. A verb declares what it takes, calls Parse, and works.
class CommandLine {
 public:
  // `arguments` are those after the verb.
  CommandLine(std::string verb, std::string summary, std::vector<std::string> arguments);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // A flag, as "--top-k N" or "--model,-m DIR" (the word after the names stands for the value in the help text). The
  // pointee is the default and receives the value; a bool becomes true, a list of strings takes the flag many times.
  // Range and choices can be set on the result, until the next flag is declared.
  template <class T>
  Field& Flag(std::string_view names, T* value, std::string_view help) {
    return Declare(names, value, help, false);
  }
  // An argument without a name: a string, or a list of strings that takes all there are.
  template <class T>
  void Argument(std::string_view name, T* value, std::string_view help) {
    Declare(name, value, help, true);
  }
  // "--model,-m DIR", which must be given; with `as_argument` also as the only argument.
  void ModelFlag(std::string* folder, bool as_argument = false);
  void AdapterFlag(std::string* folder);  // "--adapter DIR"

  void Require(std::string_view name);     // of a flag or argument declared before
  void Example(std::string_view command);  // shown by --help and by errors; there must be one
  void Note(std::string_view text);        // a paragraph of the help text

  // Reads the arguments. False: help was asked for and has been printed, and nothing is left to do. Throws Error
  // (usage): an unknown flag with the nearest name, one that is missing, a value of the wrong type or out of range.
  [[nodiscard]] bool Parse();

  const GlobalFlags& global() const { return global_; }
  bool Given(std::string_view name) const;  // after Parse: whether the flag was there

 private:
  struct Declaration {
    std::vector<std::string> names;  // "--model", "-m"; of an argument its name
    std::string placeholder, help;
    Field field;
    bool argument = false, global = false, required = false;
    bool given = false;
  };

  Field& Declare(std::string_view names, Field::Value value, std::string_view help, bool argument);
  Declaration* Find(std::string_view name) const;
  std::string HelpFooter() const;
  void CheckValues() const;
  void CheckLeftOver(const std::vector<std::string>& left) const;
  void FinishModelFlag();

  std::string verb_, summary_, example_, note_;
  std::vector<std::string> arguments_;
  GlobalFlags global_;
  std::vector<std::unique_ptr<Declaration>> declarations_;
  std::string* model_ = nullptr;
  std::string model_argument_;
};

struct Verb {
  std::string_view name;  // "score", or with a second word "tokenizer train"
  std::string_view summary;
  ExitCode (*run)(CommandLine&);
};

// Picks the verb, runs it, and turns what it throws into one line on standard error. Returns the exit code.
int RunCommandLine(std::span<const Verb> verbs, std::vector<std::string> arguments);

}  // namespace sputnik
