#include "app/generate.h"

#include "app/completion.h"
#include "app/line_reader.h"
#include "app/local_machine.h"
#include "app/model_folder.h"
#include "app/output.h"
#include "base/json.h"
#include "text/chat.h"
#include "text/unicode.h"

namespace sputnik {
namespace {

struct PromptFlags {
  std::string text, file, tokens;
  bool chat = false, bos = false;

  void Declare(CommandLine& line) {
    line.Flag("--prompt,-p TEXT", &text, "text to go on from");
    line.Flag("--prompt-file FILE", &file, "the same from a file, or from standard input (\"-\")");
    line.Flag("--tokens IDS", &tokens, "token ids to go on from, as '[1, 2, 3]'");
    line.Flag("--chat", &chat, "the prompt is a user's message, to be answered by the assistant");
    line.Flag("--bos", &bos, "put the begin-of-sentence token before the prompt");
  }

  std::vector<int32_t> Read(const CommandLine& line, const ModelFolder& model) const {
    if (line.Given("--tokens")) {
      std::vector<int32_t> ids = ParseTokens(tokens, "--tokens");
      CheckTokens(ids, model.decoder->config(), "--tokens");
      return ids;
    }
    const Tokenizer& tokenizer = model.NeedTokenizer("a prompt of text");
    const std::string prompt = line.Given("--prompt-file") ? ReadAllOf(file) : text;
    if (chat) {
      const Message message{"user", prompt};
      return EncodeChat(tokenizer, {&message, 1}, true).ids;
    }
    std::vector<int32_t> ids;
    if (bos && tokenizer.bos_id() >= 0) ids.push_back(tokenizer.bos_id());
    const std::vector<int32_t> rest = tokenizer.Encode(prompt);
    ids.insert(ids.end(), rest.begin(), rest.end());
    return ids;
  }
};

std::string ToJson(const Completion& completion, size_t prompt_tokens, const ModelFolder& model, bool with_top) {
  OrderedJson json;
  json["sample"] = completion.sample;
  json["text"] = nullptr;
  if (model.tokenizer) json["text"] = ReplaceInvalidUtf8(CompletionText(*model.tokenizer, completion.tokens));
  json["tokens"] = completion.tokens;
  json["logprobs"] = std::vector<double>(completion.logprobs.begin(), completion.logprobs.end());
  if (with_top) {
    json["top"] = OrderedJson::array();
    for (const auto& place : completion.top) {
      OrderedJson list = OrderedJson::array();
      for (const auto& [id, logprob] : place) list.push_back(OrderedJson::array({id, static_cast<double>(logprob)}));
      json["top"].push_back(std::move(list));
    }
  }
  json["finish_reason"] = FinishReasonName(completion.reason);
  json["prompt_tokens"] = prompt_tokens;
  return json.dump() + "\n";
}

// What a person reads: text, or ids where there is no tokenizer.
class TextPrinter {
 public:
  explicit TextPrinter(const ModelFolder& model) : plain_(OutputIsTerminal()) {
    if (model.tokenizer) stream_.emplace(*model.tokenizer);
  }
  void Token(int32_t token) {
    if (stream_) {
      Show(stream_->Push(token));
    } else {
      Print(fmt::format("{}{}", any_ ? " " : "", token));
    }
    any_ = true;
  }
  void End() {
    if (stream_) Show(stream_->Finish());
    Print("\n");
    FlushOutput();
  }

 private:
  void Show(const std::string& text) { Print(plain_ ? PlainText(text) : text); }

  std::optional<CompletionStream> stream_;
  bool plain_, any_ = false;
};

}  // namespace

ExitCode RunGenerate(CommandLine& line) {
  std::string folder, adapter;
  PromptFlags prompt_flags;
  CompletionFlags flags;
  int64_t samples = 1, top = 0;
  bool json = false, ignore_eos = false;
  line.ModelFlag(&folder);
  line.AdapterFlag(&adapter);
  prompt_flags.Declare(line);
  flags.Declare(line);
  line.Flag("--seed N", &flags.seed, "the same seed gives the same text").minimum = 0;
  Field& samples_field = line.Flag("--samples N", &samples, "completions of the prompt");
  samples_field.minimum = 1;
  samples_field.maximum = static_cast<double>(kMostSamples);
  Field& top_field = line.Flag("--top N", &top, "with --json: report the N likeliest tokens in each place");
  top_field.minimum = 0;
  top_field.maximum = static_cast<double>(kMostTopLogprobs);
  line.Flag("--ignore-eos", &ignore_eos, "go on after the end-of-sentence token");
  line.Flag("--json", &json, "one JSON object per completion instead of streamed text");
  line.Require("--model");
  line.Example("sputnik generate --model runs/demo --prompt 'Once upon a time' --max-tokens 100 --temperature 0.8");
  line.Example("sputnik generate --model runs/demo --chat --prompt '12+34=' --samples 8 --json");
  line.Note(
      "With --json: text, tokens (with the end-of-sentence token, if it came), logprobs (natural logarithms at the "
      "temperature used, before top-k, top-p and min-p), finish_reason (stop or length).");
  if (!line.Parse()) return ExitCode::kOk;
  const int given = line.Given("--prompt") + line.Given("--prompt-file") + line.Given("--tokens");
  if (given != 1) ThrowUsage("sputnik generate: give one of --prompt, --prompt-file and --tokens");
  Request request{.max_tokens = flags.max_tokens, .samples = samples, .sampling = flags.sampling()};

  const ModelFolder model = OpenModelFolder(
      folder, {.context = flags.max_tokens + 512, .form = AttentionFormOf(flags.attention), .adapter = adapter});
  request.prompt = prompt_flags.Read(line, model);
  request.position_seed = request.sampling.seed;
  request.top_logprobs = json ? top : 0;
  if (!ignore_eos) request.stop_ids = model.StopIds();
  LocalMachine machine(line.global());
  const size_t prompt_tokens = request.prompt.size();
  Engine engine(*model.decoder, machine.machine(),
                EngineOptionsFor(model.decoder->config(), AttentionFormOf(flags.attention),
                                 static_cast<int64_t>(prompt_tokens), flags.max_tokens, samples));
  if (json || samples > 1) {
    std::vector<Request> requests;
    requests.push_back(std::move(request));
    for (const Completion& completion : engine.Run(std::move(requests))) {
      if (json) {
        Print(ToJson(completion, prompt_tokens, model, top > 0));
        continue;
      }
      TextPrinter printer(model);
      for (const int32_t token : completion.tokens) printer.Token(token);
      printer.End();
    }
    return ExitCode::kOk;
  }
  TextPrinter printer(model);
  std::vector<int32_t> fresh;
  engine.SetTokenCallback([&](int64_t, int64_t, int32_t token, float) { fresh.push_back(token); });
  engine.Submit(std::move(request));
  while (engine.Step()) {
    for (const int32_t token : fresh) printer.Token(token);
    fresh.clear();
    FlushOutput();
  }
  printer.End();
  return ExitCode::kOk;
}

}  // namespace sputnik
