#include "app/chat.h"

#include <unistd.h>

#include <algorithm>

#include "app/completion.h"
#include "app/conversation.h"
#include "app/line_reader.h"
#include "app/local_machine.h"
#include "app/model_folder.h"
#include "app/output.h"
#include "app/thought_dimmer.h"
#include "base/random.h"
#include "base/stop_signal.h"

namespace sputnik {
namespace {

constexpr std::string_view kCommands =
    "  /help         this list\n"
    "  /clear        forget what was said\n"
    "  /system TEXT  what stands before the conversation; without TEXT: nothing\n"
    "  /quit         leave (so does Ctrl-D); Ctrl-C stops an answer\n"
    "  //TEXT        a message that starts with a slash\n";

// To the person, beside the answers, which alone go to standard output.
void Say(std::string_view text) {
  FlushOutput();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// An answer on its way to standard output.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(const Tokenizer& tokenizer)
      : stream_(tokenizer), terminal_(OutputIsTerminal()), color_(OutputHasColor()) {}

  void Token(int32_t token) { Show(stream_.Push(token)); }
  void End() {
    Show(stream_.Finish());
    Print(color_ ? dimmer_.Finish() + "\n" : "\n");
    FlushOutput();
  }
  const std::string& text() const { return text_; }

 private:
  void Show(const std::string& text) {
    text_ += text;
    const std::string safe = terminal_ ? PlainText(text) : text;
    Print(color_ ? dimmer_.Push(safe) : safe);
  }

  CompletionStream stream_;
  ThoughtDimmer dimmer_;
  std::string text_;
  bool terminal_, color_;
};

class Chat {
 public:
  Chat(const ModelFolder& model, const Machine& machine, const CompletionFlags& flags)
      : tokenizer_(model.NeedTokenizer("a chat")),
        flags_(flags),
        stop_ids_(model.StopIds()),
        engine_(*model.decoder, machine,
                EngineOptionsFor(model.decoder->config(), AttentionFormOf(flags.attention),
                                 LongestSequence(model.decoder->config()), flags.max_tokens, 1)),
        conversation_(tokenizer_, engine_.longest()) {
    engine_.SetTokenCallback([this](int64_t, int64_t, int32_t token, float) { fresh_.push_back(token); });
  }

  Conversation& conversation() { return conversation_; }
  int64_t context() const { return engine_.longest(); }

  void Answer(const std::string& question) {
    // An answer may always have a quarter of the context; a longer conversation is forgotten from its start.
    const int64_t room = std::min(flags_.max_tokens, engine_.longest() / 4);
    const Conversation::Prompt prompt = conversation_.Ask(question, room);
    if (prompt.forgotten > 0) {
      Say(fmt::format("(the context of {} tokens is full; forgotten from the start: {} of {} earlier turns)\n",
                      engine_.longest(), prompt.forgotten, prompt.forgotten + conversation_.turns()));
    }
    Request request{.prompt = prompt.ids, .max_tokens = flags_.max_tokens, .sampling = flags_.sampling()};
    request.position_seed = request.sampling.seed;
    request.sampling.seed = HashCombine(request.sampling.seed, answers_++);
    request.stop_ids = stop_ids_;
    AnswerPrinter printer(tokenizer_);
    fresh_.clear();
    const int64_t number = engine_.Submit(std::move(request));
    while (engine_.Step()) {
      for (const int32_t token : fresh_) {
        if (std::find(stop_ids_.begin(), stop_ids_.end(), token) == stop_ids_.end()) printer.Token(token);
      }
      fresh_.clear();
      FlushOutput();
      if (StopRequested()) engine_.Cancel(number);
    }
    printer.End();
    conversation_.Answer(printer.text());
    for (const Completion& completion : engine_.TakeFinished()) {
      if (completion.reason != FinishReason::kLength) continue;
      const auto length = static_cast<int64_t>(completion.tokens.size());
      Say(length < flags_.max_tokens ? "(cut off: the context is full)\n"
                                     : fmt::format("(cut off after {} tokens; see --max-tokens)\n", length));
    }
  }

  // A line that starts with a slash. False: to leave.
  bool Command(const std::string& text) {
    const size_t space = std::min(text.find(' '), text.size());
    const std::string name = text.substr(0, space);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") {
      Say(kCommands);
    } else if (name == "/clear") {
      conversation_.Clear();
      Say("(forgotten)\n");
    } else if (name == "/system") {
      const size_t begin = std::min(text.find_first_not_of(' ', space), text.size());
      conversation_.SetSystem(text.substr(begin));
      Say(begin < text.size() ? "(the system text is set)\n" : "(no system text)\n");
    } else {
      const std::string nearest = NearestName(name, {"/help", "/clear", "/system", "/quit", "/exit"});
      Say(PlainText(fmt::format("(there is no {}{}; /help lists the commands)\n", name,
                                nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))));
    }
    return true;
  }

 private:
  const Tokenizer& tokenizer_;
  const CompletionFlags& flags_;
  std::vector<int32_t> stop_ids_, fresh_;
  Engine engine_;
  Conversation conversation_;
  uint64_t answers_ = 0;
};

// Reads and answers until the input ends or someone has had enough.
ExitCode Talk(Chat& chat, bool person) {
  InstallInterruptSignal();
  LineReader reader("");
  std::string text;
  for (;;) {
    if (person) Say("> ");
    const LineReader::Result result = reader.Next(&text);
    if (result != LineReader::Result::kLine) {
      if (person) Say("\n");
      return result == LineReader::Result::kEnd ? ExitCode::kOk : ExitCode::kInterrupted;
    }
    if (text.ends_with('\r')) text.pop_back();
    if (text.find_first_not_of(" \t") == text.npos) continue;
    if (text.starts_with('/') && !text.starts_with("//")) {
      if (!chat.Command(text)) return ExitCode::kOk;
      continue;
    }
    try {
      chat.Answer(text.starts_with('/') ? text.substr(1) : text);
    } catch (const Error& error) {
      if (!person && error.code() == ExitCode::kBadInput) ThrowBadInput("{}: {}", reader.source(), error.what());
      if (error.code() != ExitCode::kBadInput) throw;
      Say(fmt::format("({})\n", error.what()));
    }
    if (StopRequested() && !person) return ExitCode::kInterrupted;
    ClearStopRequest();
  }
}

}  // namespace

ExitCode RunChat(CommandLine& line) {
  std::string folder, adapter, system;
  CompletionFlags flags;
  flags.max_tokens = 1024;
  line.ModelFlag(&folder, true);
  line.AdapterFlag(&adapter);
  line.Flag("--system TEXT", &system, "what stands before the conversation");
  flags.Declare(line);
  line.Flag("--seed N", &flags.seed, "the same seed and messages give the same answers").minimum = 0;
  line.Require("--model");
  line.Example("sputnik chat runs/demo --temperature 0.7");
  line.Example("printf 'What is 12+34?\\nAnd 56+78?\\n' | sputnik chat runs/demo --temperature 0 --quiet");
  line.Note(
      "Each line is a message; the answer streams to standard output, all else to standard error. When the model's "
      "context is full, the oldest turns are forgotten.");
  line.Note(fmt::format("Within a chat:\n{}", kCommands));
  if (!line.Parse()) return ExitCode::kOk;
  flags.sampling();  // complains before the model is read

  const ModelFolder model = OpenModelFolder(
      folder, {.context = flags.max_tokens + 512, .form = AttentionFormOf(flags.attention), .adapter = adapter});
  LocalMachine machine(line.global());
  Chat chat(model, machine.machine(), flags);
  chat.conversation().SetSystem(system);
  const bool person = ::isatty(STDIN_FILENO) == 1;
  if (person && !line.global().quiet) {
    Say(fmt::format("{}: {:.1f} M parameters, a context of {} tokens. /help lists commands.\n", model.path.string(),
                    static_cast<double>(CountParams(model.decoder->config()).total) / 1e6, chat.context()));
  }
  return Talk(chat, person);
}

}  // namespace sputnik
