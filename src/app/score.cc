#include "app/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "app/completion.h"
#include "app/line_reader.h"
#include "app/local_machine.h"
#include "app/model_folder.h"
#include "app/output.h"
#include "base/json.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "op/logprob.h"

namespace sputnik {
namespace {

constexpr int64_t kChunk = 512;  // tokens that go through the model at once
constexpr int64_t kLogitsAtOnce = int64_t{1} << 20;
constexpr std::string_view kExpected = R"({"text": "..."} or {"tokens": [1, 2, 3]})";

std::vector<int32_t> TokensOf(const std::string& json_line, const std::string& source, const ModelFolder& model,
                              bool bos) {
  const Json object = ParseJson(json_line, source);
  if (object.is_object() && object.contains("tokens")) return ParseTokens(object["tokens"].dump(), source);
  if (!object.is_object() || !object.contains("text") || !object["text"].is_string()) {
    ThrowBadInput("{}: expected an object such as {}", source, kExpected);
  }
  const Tokenizer& tokenizer = model.NeedTokenizer("scoring text");
  std::vector<int32_t> tokens;
  if (bos && tokenizer.bos_id() >= 0) tokens.push_back(tokenizer.bos_id());
  const std::vector<int32_t> text = tokenizer.Encode(object["text"].get<std::string>());
  tokens.insert(tokens.end(), text.begin(), text.end());
  return tokens;
}

// Doubles that hold the float32 values exactly, printed with as many digits as they need: they read back to the same
// float32, and to the same double.
std::string ToJson(std::span<const int32_t> tokens, const TokenScores& scores, bool with_top) {
  OrderedJson json = {{"tokens", tokens}, {"logprobs", OrderedJson::array()}};
  for (size_t i = 0; i < tokens.size(); ++i) {
    json["logprobs"].push_back(i == 0 ? OrderedJson() : OrderedJson(static_cast<double>(scores.logprobs[i])));
  }
  if (with_top) {
    json["top"] = OrderedJson::array();
    for (size_t i = 0; i < tokens.size(); ++i) {
      OrderedJson place = i == 0 ? OrderedJson() : OrderedJson::array();
      for (const auto& [id, logprob] : scores.top[i]) {
        place.push_back(OrderedJson::array({id, static_cast<double>(logprob)}));
      }
      json["top"].push_back(std::move(place));
    }
  }
  return json.dump() + "\n";
}

}  // namespace

TokenScores Scorer::Score(std::span<const int32_t> tokens, int64_t top) {
  const auto count = static_cast<int64_t>(tokens.size());
  TokenScores scores{.logprobs = std::vector<float>(tokens.size(), 0.f), .top = {}};
  scores.top.resize(tokens.size());
  if (count < 2) return scores;
  const int64_t longest = LongestSequence(decoder_.config());
  CHECK_LE(count, longest);
  const int64_t pages = (count + kKeyBlock - 1) / kKeyBlock;
  if (cache_ == nullptr || cache_->pages() < pages) {
    cache_.reset();
    cache_ = std::make_unique<KvCache>(decoder_.config(), form_, DType::kF32, pages);
  }
  const Request request{.prompt = {tokens.begin(), tokens.end()}, .max_tokens = 0};
  positions_ = PositionsFor(request, decoder_.config(), longest);
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    ScoreChunk(tokens, begin, std::min(begin + kChunk, count), top, scores);
  }
  return scores;
}

void Scorer::ScoreChunk(std::span<const int32_t> tokens, int64_t begin, int64_t end, int64_t top, TokenScores& scores) {
  const int64_t count = end - begin;
  Batch batch;
  batch.ids.assign(tokens.begin() + begin, tokens.begin() + end);
  batch.positions.assign(positions_.begin() + begin, positions_.begin() + end);
  batch.sequence_start = {0, static_cast<int32_t>(count)};
  batch.context = {static_cast<int32_t>(begin)};
  batch.block_table.resize(static_cast<size_t>((end + kKeyBlock - 1) / kKeyBlock));
  std::iota(batch.block_table.begin(), batch.block_table.end(), 0);
  batch.block_start = {0, static_cast<int32_t>(batch.block_table.size())};

  const ArenaScope scope(arena_);
  Pass pass(machine_, arena_);
  const Tensor hidden = decoder_.Forward(pass, batch, {.cache = cache_.get()}).hidden;
  // The row of token i predicts token i + 1; the last row of the last chunk predicts nothing that is there.
  const int64_t rows = std::min(count, static_cast<int64_t>(tokens.size()) - 1 - begin);
  const int64_t at_once = top > 0 ? std::max<int64_t>(1, kLogitsAtOnce / decoder_.config().vocab_size) : rows;
  SamplerScratch scratch;
  for (int64_t first = 0; first < rows; first += at_once) {
    const ArenaScope inner(arena_);
    const int64_t n = std::min(at_once, rows - first);
    const int32_t* targets = tokens.data() + begin + first + 1;
    const Tensor part = hidden.Slice(0, first, n);
    Tensor logits;
    LogProbs probs;
    if (top > 0) {
      logits = Logits(pass, part, decoder_.head());
      probs = LogProbOfLogits(pass, logits, targets);
    } else {
      probs = LogProb(pass, part, decoder_.head(), targets);
    }
    for (int64_t i = 0; i < n; ++i) {
      const float logprob = probs.logprob.as<float>()[i];
      if (!std::isfinite(logprob)) {
        throw Error(ExitCode::kNumeric, "the model's output is not finite; its weights are broken");
      }
      const auto place = static_cast<size_t>(begin + first + i + 1);
      scores.logprobs[place] = logprob;
      if (top == 0) continue;
      const std::span<const float> row(logits.as<float>() + i * logits.stride(0), static_cast<size_t>(logits.size(1)));
      scores.top[place] = TopTokens(row, top, 1, probs.lse.as<float>()[i], scratch);
    }
  }
}

ExitCode RunScore(CommandLine& line) {
  std::string folder, adapter, file, attention = "expanded";
  int64_t top = 0;
  bool bos = false, json = false;
  line.ModelFlag(&folder);
  line.AdapterFlag(&adapter);
  Field& top_field = line.Flag("--top N", &top, "report the N likeliest tokens in each place, too");
  top_field.minimum = 0;
  top_field.maximum = static_cast<double>(kMostTopLogprobs);
  line.Flag("--bos", &bos, "put the begin-of-sentence token before each text");
  DeclareAttention(line, &attention);
  line.Flag("--json", &json, "accepted for scripts: the output is JSON lines in any case");
  line.Argument("FILE", &file,
                "JSON lines {\"text\": ...} or {\"tokens\": [...]}; standard input if left out or \"-\"");
  line.Require("--model");
  line.Example("sputnik score --model runs/demo --top 5 texts.jsonl");
  line.Note(
      "Prints one object per line: tokens; logprobs, natural logarithms at temperature 1, null for the first token; "
      "and with --top the likeliest [id, logprob] in each place.");
  if (!line.Parse()) return ExitCode::kOk;

  LineReader reader(file);
  const ModelFolder model =
      OpenModelFolder(folder, {.context = kChunk, .form = AttentionFormOf(attention), .adapter = adapter});
  LocalMachine machine(line.global());
  const ModelConfig& config = model.decoder->config();
  Scorer scorer(*model.decoder, machine.machine(), AttentionFormOf(attention));
  std::string text;
  while (reader.Next(&text) == LineReader::Result::kLine) {
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const std::vector<int32_t> tokens = TokensOf(text, reader.source(), model, bos);
    CheckTokens(tokens, config, reader.source());
    if (static_cast<int64_t>(tokens.size()) > LongestSequence(config)) {
      ThrowBadInput("{}: {} tokens are more than the model's context of {} (max_position_embeddings); split the text",
                    reader.source(), tokens.size(), LongestSequence(config));
    }
    Print(ToJson(tokens, scorer.Score(tokens, top), top > 0));
    FlushOutput();
  }
  return ExitCode::kOk;
}

}  // namespace sputnik
