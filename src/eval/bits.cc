#include "eval/bits.h"

#include <algorithm>

#include "data/loader.h"

namespace sputnik {
namespace {

constexpr int64_t kBatchTokens = 8192;
constexpr double kNatsPerBit = 0.693147180559945309417;

constexpr int64_t kDocumentsForClusters = 30;

// Sorts the scored tokens, which come in the text's order, into clusters.
class Clusters {
 public:
  Clusters(const Shard& shard, int64_t tokens, int64_t stretch) : starts_(shard.document_starts()), stretch_(stretch) {
    const auto scored = std::lower_bound(starts_.begin(), starts_.end(), static_cast<uint64_t>(tokens));
    by_document_ = scored - starts_.begin() >= kDocumentsForClusters;
  }

  bool by_document() const { return by_document_; }
  const std::vector<Cluster>& list() const { return list_; }

  void Add(double nats) {
    const uint64_t token = ++last_;  // the shard's first is not predicted
    bool begins = list_.empty();
    if (by_document_) {
      for (; document_ < starts_.size() && starts_[document_] <= token; ++document_) begins = true;
    } else {
      begins = begins || list_.back().count >= static_cast<double>(stretch_);
    }
    if (begins) list_.emplace_back();
    list_.back().sum += nats;
    list_.back().count += 1;
  }

 private:
  std::span<const uint64_t> starts_;
  int64_t stretch_;
  bool by_document_ = false;
  uint64_t last_ = 0;
  size_t document_ = 0;
  std::vector<Cluster> list_;
};

void Score(const Decoder& decoder, const Machine& machine, Arena& arena, const Batch& batch, BitsResult& result,
           Clusters& clusters) {
  const ArenaScope scope(arena);
  Pass pass(machine, arena);
  const ForwardResult out = decoder.Forward(pass, batch);
  const LogProbs probs = decoder.TargetLogProbs(pass, out.hidden, batch.targets);
  for (const float logprob : probs.logprob.span<float>()) {
    result.nats -= static_cast<double>(logprob);
    clusters.Add(-static_cast<double>(logprob));
  }
  result.tokens += probs.logprob.size(0);
}

// Adds the window that ends at `end` and scores the predictions of tokens [first, end).
void AddWindow(const Shard& shard, int64_t begin, int64_t first, int64_t end, Batch& batch) {
  std::vector<int32_t> ids(static_cast<size_t>(end - begin));
  shard.Read(begin, ids);
  for (int64_t i = begin; i + 1 < end; ++i) {
    const auto at = static_cast<size_t>(i - begin);
    batch.ids.push_back(ids[at]);
    batch.positions.push_back(static_cast<int32_t>(at));
    batch.targets.push_back(i + 1 >= first ? ids[at + 1] : -1);
    batch.weights.push_back(i + 1 >= first ? 1.f : 0.f);
  }
  batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
}

}  // namespace

double BitsResult::BitsPerByte(const Shard& shard) const {
  return nats / kNatsPerBit / (text_share * static_cast<double>(shard.text_bytes()));
}

double BitsResult::NatsPerCharacter(const Shard& shard) const {
  return nats / (text_share * static_cast<double>(shard.text_characters()));
}

std::optional<Interval> BitsResult::IntervalOf(double figure) const {
  if (!ci95) return std::nullopt;
  const double scale = figure / NatsPerToken();
  return Interval{scale * ci95->low, scale * ci95->high};
}

BitsResult EvaluateShard(const Decoder& decoder, const Machine& machine, const Shard& shard,
                         const BitsOptions& options) {
  BitsResult result;
  Arena arena;
  const int64_t context = options.context, total = shard.tokens();
  const int64_t tokens = options.max_tokens > 0 ? std::min(options.max_tokens, total) : total;
  Clusters clusters(shard, tokens, context);
  if (options.stride == 0 || options.stride >= context) {
    const int64_t step = std::max<int64_t>(1, kBatchTokens / context) * context;
    for (int64_t begin = 0; begin < tokens; begin += step) {
      Score(decoder, machine, arena,
            ReadRange(shard, begin, std::min(begin + step, tokens), context, options.document_mask), result, clusters);
    }
  } else {
    Batch batch;
    batch.sequence_start = {0};
    for (int64_t first = 1; first < tokens; first += options.stride) {
      const int64_t end = std::min(first + options.stride, tokens);
      AddWindow(shard, std::max<int64_t>(0, end - 1 - context), first, end, batch);
      if (batch.tokens() < kBatchTokens && end < tokens) continue;
      Score(decoder, machine, arena, batch, result, clusters);
      batch = {};
      batch.sequence_start = {0};
    }
  }
  result.text_share = static_cast<double>(tokens) / static_cast<double>(total);
  result.ci95 = RatioConfidence95(clusters.list());
  result.by_document = clusters.by_document();
  return result;
}

}  // namespace sputnik
