// Lets tools/tokenizer_oracle.py run the text floor. Not part of the test suite.
//   text_probe train VOCAB SPLIT_DIGITS(0|1) OUT FILE...   one document per file
//   text_probe encode MODEL text|special|content           JSON strings, one to a line, from stdin; JSON ids to stdout
//   text_probe chat MODEL                                  {"messages":[...],"prompt":bool} lines; {"ids","is_answer"}
//   text_probe time MODEL FILE                             load time, encoding speed; form feeds end documents
#include <ctime>
#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/bpe_train.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace sputnik {
namespace {

// Of the processor, not of the clock on the wall: others may be using this machine.
double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int Run(const std::vector<std::string>& args) {
  const std::string verb = args.at(1);
  if (verb == "train") {
    const double start = Seconds();
    BpeTrainer trainer({.vocab_size = std::stoll(args.at(2)), .split_digits = args.at(3) == "1"});
    for (size_t i = 5; i < args.size(); ++i) trainer.Add(ReadFile(args[i]));
    const double counted = Seconds();
    const TokenizerJson trained = trainer.Train();
    fmt::print(stderr, "counted in {:.3f} s, merged in {:.3f} s: {} tokens, {} merges\n", counted - start,
               Seconds() - counted, trained.names.size(), trained.merges.size() / 2);
    SaveTrainedTokenizer(trained, args.at(4), 4096);
    return 0;
  }
  double start = Seconds();
  Tokenizer tokenizer = Tokenizer::Load(args.at(2));
  if (verb == "time") {
    double load = Seconds() - start;
    for (int i = 0; i < 5; ++i) {
      start = Seconds();
      tokenizer = Tokenizer::Load(args.at(2));
      load = std::min(load, Seconds() - start);
    }
    const std::string text = ReadFile(args.at(3));
    std::vector<std::string_view> documents;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('\f', at), text.size());
      documents.push_back(std::string_view(text).substr(at, end - at));
      at = end + 1;
    }
    double best = 1e9;
    size_t tokens = 0;
    for (int i = 0; i < 5; ++i) {
      start = Seconds();
      tokens = 0;
      for (const std::string_view document : documents) tokens += tokenizer.Encode(document).size();
      best = std::min(best, Seconds() - start);
    }
    fmt::print("load {:.1f} ms; {} bytes, {} tokens, {:.3f} s, {:.1f} MB/s\n", load * 1e3, text.size(), tokens, best,
               static_cast<double>(text.size()) / best / 1e6);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const Json input = ParseJson(line, "stdin");
    if (verb == "encode") {
      const std::string mode = args.at(3);
      const auto text = input.get<std::string>();
      const auto ids = mode == "content" ? tokenizer.EncodeContent(text) : tokenizer.Encode(text, mode == "special");
      if (tokenizer.Decode(ids) != text) ThrowFailure("decoding does not give back {}", input.dump());
      std::cout << Json(ids).dump() << "\n";
    } else {
      std::vector<Message> messages;
      for (const Json& message : input["messages"]) messages.push_back({message["role"], message["content"]});
      const ChatTokens chat = EncodeChat(tokenizer, messages, input["prompt"]);
      std::cout << Json({{"ids", chat.ids}, {"is_answer", chat.is_answer}}).dump() << "\n";
    }
  }
  return 0;
}

}  // namespace
}  // namespace sputnik

int main(int argc, char** argv) {
  try {
    return sputnik::Run({argv, argv + argc});
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
