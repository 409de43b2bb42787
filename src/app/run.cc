#include "app/run.h"

#include <algorithm>
#include <cstdio>

#include "app/pipeline.h"
#include "app/recipe.h"
#include "base/log.h"
#include "base/stop_signal.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

struct RunFlags {
  std::string recipe, out, model, adapter;
  std::vector<std::string> assignments;
  bool resume = false, dry_run = false;
};

void DeclareFlags(CommandLine& line, RunFlags& flags) {
  line.Argument("RECIPE", &flags.recipe, "TOML file; recipes/ has some");
  line.Require("RECIPE");
  line.Flag("--set SECTION.KEY=VALUE", &flags.assignments, "change one setting of the recipe; may be given many times");
  line.Flag("--out DIR", &flags.out, "folder of the run (default: runs/NAME with the recipe's run.name)");
  line.Flag("--resume", &flags.resume, "go on where the run in that folder stopped");
  line.Flag("--dry-run", &flags.dry_run, "print the resolved recipe and stop");
}

ExitCode Run(const CommandLine& line, const RunFlags& flags, const std::vector<std::string>& stages) {
  std::vector<std::string> assignments = flags.assignments;
  if (!stages.empty()) assignments.push_back(fmt::format("run.stages=[\"{}\"]", stages.front()));
  if (!flags.model.empty()) assignments.push_back("run.from=" + flags.model);
  if (!flags.adapter.empty()) assignments.push_back("lora.from=" + flags.adapter);
  if (line.Given("--threads")) assignments.push_back(fmt::format("run.threads={}", line.global().threads));
  if (line.Given("--machine")) assignments.push_back("run.machine=" + line.global().machine);
  Recipe recipe = ReadRecipe(flags.recipe, assignments);
  if (flags.dry_run) {
    std::fputs(WriteToml(recipe.Sections()).c_str(), stdout);
    return ExitCode::kOk;
  }
  const fs::path folder = flags.out.empty() ? fs::path("runs") / recipe.run.name : fs::path(flags.out);
  InstallStopSignals();
  Pipeline pipeline(std::move(recipe), folder, flags.resume);
  if (!pipeline.Run()) {
    LogInfo("stopped; everything up to here is saved. Go on with: sputnik run {} --out {} --resume", flags.recipe,
            folder.string());
    return ExitCode::kStopped;
  }
  LogInfo("done. Report: {}/report.html. Chat with the model: sputnik chat {}", folder.string(), folder.string());
  return ExitCode::kOk;
}

}  // namespace

ExitCode RunRecipe(CommandLine& line) {
  RunFlags flags;
  DeclareFlags(line, flags);
  line.Example("sputnik run recipes/demo.toml --set run.seed=2 --out runs/second");
  line.Note("Runs the recipe's stages in order. Ctrl-C saves a checkpoint and leaves with exit code 75.");
  return line.Parse() ? Run(line, flags, {}) : ExitCode::kOk;
}

ExitCode RunPretrain(CommandLine& line) {
  RunFlags flags;
  DeclareFlags(line, flags);
  line.Example("sputnik pretrain recipes/demo.toml --set data.text=my.txt --out runs/mine");
  return line.Parse() ? Run(line, flags, {"pretrain"}) : ExitCode::kOk;
}

ExitCode RunSft(CommandLine& line) {
  RunFlags flags;
  DeclareFlags(line, flags);
  line.ModelFlag(&flags.model);
  line.AdapterFlag(&flags.adapter);
  line.Example("sputnik sft recipes/demo.toml --model runs/mine --set sft.conversations=chats.jsonl --out runs/tuned");
  return line.Parse() ? Run(line, flags, {"sft"}) : ExitCode::kOk;
}

ExitCode RunImprove(CommandLine& line) {
  RunFlags flags;
  DeclareFlags(line, flags);
  line.ModelFlag(&flags.model);
  line.AdapterFlag(&flags.adapter);
  line.Example("sputnik improve recipes/demo.toml --model runs/tuned --out runs/improved");
  return line.Parse() ? Run(line, flags, {"improve"}) : ExitCode::kOk;
}

}  // namespace sputnik
