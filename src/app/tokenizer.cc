#include "app/tokenizer.h"

#include "app/line_reader.h"
#include "app/model_folder.h"
#include "app/output.h"
#include "base/json.h"
#include "base/log.h"
#include "data/source.h"
#include "text/bpe_train.h"
#include "text/unicode.h"

namespace sputnik {

ExitCode RunTokenizerTrain(CommandLine& line) {
  BpeTrainOptions options;
  options.split_digits = false;
  std::string out;
  std::vector<std::string> inputs, special;
  int64_t longest = 131072;
  SourceOptions source;
  bool json = false;
  line.Flag("--vocab-size N", &options.vocab_size, "ids in all, the 256 bytes and the special tokens included")
      .minimum = 1;
  line.Flag("--out DIR", &out, "folder for tokenizer.json and tokenizer_config.json; made if need be");
  line.Flag("--split-digits", &options.split_digits, "each digit is a token; otherwise up to three together");
  line.Flag("--special TOKEN", &special, "one more special token; may be given many times");
  line.Flag("--min-pair-count N", &options.min_pair_count, "rarer pairs are not merged").minimum = 1;
  line.Flag("--max-length N", &longest, "longest text of the model, as tokenizer_config.json tells others").minimum = 1;
  line.Flag("--percent-separated", &source.percent_separated,
            "lines of a single % part documents, as in fortune files");
  line.Flag("--json", &json, "print what was made as one JSON object");
  line.Argument("FILE", &inputs, "text files, .jsonl files with {\"text\": ...} lines, or folders of them");
  line.Require("--vocab-size");
  line.Require("--out");
  line.Require("FILE");
  line.Example("sputnik tokenizer train --vocab-size 1024 --split-digits --out my-tokenizer books/ notes.txt");
  if (!line.Parse()) return ExitCode::kOk;

  options.special_tokens.insert(options.special_tokens.end(), special.begin(), special.end());
  BpeTrainer trainer(options);
  int64_t documents = 0, bytes = 0;
  ForEachDocument({inputs.begin(), inputs.end()}, source, [&](std::string_view document) {
    trainer.Add(document);
    ++documents;
    bytes += static_cast<int64_t>(document.size());
  });
  SaveTrainedTokenizer(trainer.Train(), out, longest);
  const Tokenizer made = Tokenizer::Load(out);
  LogInfo("{}: {} ids from {} documents, {} bytes", out, made.vocab_size(), documents, bytes);
  if (made.vocab_size() < options.vocab_size) {
    LogWarning("the text has too few repeated pairs for {} ids; the tokenizer has {}", options.vocab_size,
               made.vocab_size());
  }
  if (json) {
    const OrderedJson summary = {
        {"vocab_size", made.vocab_size()}, {"documents", documents}, {"bytes", bytes}, {"hash", made.hash()}};
    Print(summary.dump() + "\n");
  }
  return ExitCode::kOk;
}

ExitCode RunTokenizerEncode(CommandLine& line) {
  std::string model, file;
  bool special = false, complete = false, json = false;
  line.ModelFlag(&model);
  line.Flag("--special", &special,
            "special tokens written in the text become their ids; otherwise they are plain text");
  line.Flag("--complete", &complete,
            "with what the tokenizer's files put around a whole text, such as its first token");
  line.Flag("--json", &json, "each line is a JSON string, which may hold line breaks");
  line.Argument("FILE", &file, "text; standard input if it is left out or \"-\"");
  line.Require("--model");
  line.Example("echo 'Hello there' | sputnik tokenizer encode --model runs/demo");
  line.Note("Prints one JSON array of ids per line of text; sputnik tokenizer decode makes the text of it again.");
  if (!line.Parse()) return ExitCode::kOk;

  const Tokenizer tokenizer = OpenTokenizer(model);
  LineReader reader(file);
  std::string text, out;
  while (reader.Next(&text) == LineReader::Result::kLine) {
    if (json) {
      const Json string = ParseJson(text, reader.source());
      if (!string.is_string()) ThrowBadInput("{}: expected a JSON string", reader.source());
      text = string.get<std::string>();
    }
    out.clear();
    std::vector<int32_t> ids = tokenizer.Encode(text, special);
    if (complete) ids = tokenizer.Complete(std::move(ids));
    for (const int32_t id : ids) {
      if (!out.empty()) out += ',';
      out += std::to_string(id);
    }
    Print(fmt::format("[{}]\n", out));
  }
  return ExitCode::kOk;
}

ExitCode RunTokenizerDecode(CommandLine& line) {
  std::string model, file;
  bool skip_special = false, as_json = false;
  line.ModelFlag(&model);
  line.Flag("--skip-special", &skip_special, "leave special tokens out");
  line.Flag("--json", &as_json, "print each text as a JSON string, with U+FFFD for bytes that are no characters");
  line.Argument("FILE", &file, "JSON arrays of ids, one per line; standard input if it is left out or \"-\"");
  line.Require("--model");
  line.Example("echo '[72, 101, 108]' | sputnik tokenizer decode --model runs/demo");
  if (!line.Parse()) return ExitCode::kOk;

  const Tokenizer tokenizer = OpenTokenizer(model);
  LineReader reader(file);
  std::string json;
  while (reader.Next(&json) == LineReader::Result::kLine) {
    const std::vector<int32_t> ids = ParseTokens(json, reader.source());
    for (const int32_t id : ids) {
      if (id >= tokenizer.vocab_size()) {
        ThrowBadInput("{}: the tokenizer has no id {}; its ids are 0 to {}", reader.source(), id,
                      tokenizer.vocab_size() - 1);
      }
    }
    const std::string text = tokenizer.Decode(ids, skip_special);
    Print((as_json ? Json(ReplaceInvalidUtf8(text)).dump() : text) + "\n");
  }
  return ExitCode::kOk;
}

}  // namespace sputnik
