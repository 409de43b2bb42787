// The program: its verbs, one line each.
#include <signal.h>

#include "app/chat.h"
#include "app/command_line.h"
#include "app/convert.h"
#include "app/doctor.h"
#include "app/eval.h"
#include "app/generate.h"
#include "app/info.h"
#include "app/run.h"
#include "app/score.h"
#include "app/tokenizer.h"
#include "app/version.h"

int main(int argc, char** argv) {
  using namespace sputnik;
  static constexpr Verb kVerbs[] = {
      {"run", "a recipe, from raw text to a model that has improved itself", &RunRecipe},
      {"tokenizer train", "makes a tokenizer from text", &RunTokenizerTrain},
      {"tokenizer encode", "text to token ids, line by line", &RunTokenizerEncode},
      {"tokenizer decode", "token ids to text, line by line", &RunTokenizerDecode},
      {"pretrain", "a recipe's pretraining", &RunPretrain},
      {"sft", "a recipe's supervised fine-tuning", &RunSft},
      {"improve", "a recipe's reinforcement learning", &RunImprove},
      {"eval", "how well a model does, on a task or on text", &RunEval},
      {"score", "log-probabilities of given texts", &RunScore},
      {"generate", "completions of a prompt", &RunGenerate},
      {"chat", "a conversation with a model", &RunChat},
      {"convert", "a model folder in another type, or in files of another size", &RunConvert},
      {"info", "a model's size and cost", &RunInfo},
      {"doctor", "what this machine is and can do", &RunDoctor},
      {"version", "which sputnik this is", &RunVersion},
  };
  ::signal(SIGPIPE, SIG_IGN);  // a reader that went away shows as a failed write (app/output)
  return RunCommandLine(kVerbs, {argv + 1, argv + argc});
}
