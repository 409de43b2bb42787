#include "engine/engine.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "base/error.h"
#include "op/logprob.h"
#include "op/pointwise.h"

namespace sputnik {
namespace {

// Logits held at once, in numbers: 4 MiB.
constexpr int64_t kLogitsAtOnce = int64_t{1} << 20;

void CheckOption(const char* name, int64_t value) {
  constexpr int64_t kMost = 1 << 20;
  if (value < 1 || value > kMost) ThrowUsage("engine: {} is {}, expected 1 to {}", name, value, kMost);
}

int64_t PagesFor(int64_t tokens) { return (tokens + kKeyBlock - 1) / kKeyBlock; }

KvCache MakeCache(const ModelConfig& config, const EngineOptions& options) {
  CheckOption("max_batch_tokens", options.max_batch_tokens);
  CheckOption("prefill_chunk", options.prefill_chunk);
  CheckOption("max_sequences", options.max_sequences);
  const int64_t page_bytes = KvCache::BytesPerPage(config, options.form, DType::kF32);
  const int64_t most = INT32_MAX / kKeyBlock;  // rows are numbered with 32 bits
  if (options.cache_tokens < 0 || options.cache_tokens > most * kKeyBlock) {
    ThrowUsage("engine: cache_tokens is {}, expected 0 (chosen from the memory) to {}", options.cache_tokens,
               most * kKeyBlock);
  }
  // More than every place filled to the brim is never needed.
  const int64_t useful = options.max_sequences * PagesFor(LongestSequence(config));
  const int64_t pages = options.cache_tokens > 0 ? PagesFor(options.cache_tokens)
                                                 : std::min({options.memory_bytes / page_bytes, useful, most});
  if (pages < 1) {
    ThrowUsage("engine: {} bytes hold no page of the cache; {} tokens of this model need {}", options.memory_bytes,
               kKeyBlock, page_bytes);
  }
  try {
    return KvCache(config, options.form, DType::kF32, pages);
  } catch (const std::bad_alloc&) {
    ThrowFailure("engine: no memory for a cache of {} tokens ({} bytes); ask for a smaller one", pages * kKeyBlock,
                 pages * page_bytes);
  }
}

}  // namespace

Engine::Engine(const Decoder& decoder, const Machine& machine, const EngineOptions& options)
    : decoder_(decoder),
      machine_(machine),
      options_(options),
      cache_(MakeCache(decoder.config(), options)),
      longest_(std::min(LongestSequence(decoder.config()), cache_.pages() * kKeyBlock)),
      pool_(cache_.pages(), options.prefix_cache),
      scheduler_({.max_batch_tokens = options.max_batch_tokens,
                  .prefill_chunk = options.prefill_chunk,
                  .max_sequences = options.max_sequences},
                 pool_),
      sampler_(machine.pool) {
  CHECK(decoder.params().dtype() != DType::kF64);
}

int64_t Engine::Submit(Request request) {
  ValidateRequest(request, decoder_.config(), longest_);
  const int64_t id = next_request_++;
  auto active = std::make_unique<Active>();
  active->request = std::move(request);
  active->positions = PositionsFor(active->request, decoder_.config(), longest_);
  if (active->request.prompt_logprobs) active->prompt_logprobs.assign(active->request.prompt.size(), 0.f);
  active->unfinished = active->request.samples;
  active->sequences.resize(static_cast<size_t>(active->request.samples));
  active->sequences[0] = std::make_unique<Sequence>(id, active->request, active->positions, longest_);
  scheduler_.Add(active->sequences[0].get());
  active_.emplace(id, std::move(active));
  return id;
}

bool Engine::Step() {
  CHECK(!stepping_);
  const StepPlan& plan = scheduler_.Plan();
  if (plan.chunks.empty()) return false;
  for (const auto& [from, to] : plan.copies) cache_.CopyPage(from, to);
  BuildBatch(plan);
  {
    const ArenaScope scope(arena_);
    Pass pass(machine_, arena_);
    const Tensor hidden = decoder_.Forward(pass, batch_, {.cache = &cache_}).hidden;
    ScorePrompts(pass, plan, hidden);
    ListSamples(plan);
    Sample(pass, hidden);
  }
  // From here on nothing fails.
  ++stats_.steps;
  stats_.computed_tokens += batch_.tokens();
  scheduler_.Commit();
  stepping_ = true;
  Deliver();
  stepping_ = false;
  for (const int64_t request : cancelled_) CancelNow(request);
  cancelled_.clear();
  return true;
}

void Engine::BuildBatch(const StepPlan& plan) {
  Batch& b = batch_;
  b.ids.clear();
  b.positions.clear();
  b.context.clear();
  b.block_table.clear();
  b.sequence_start.assign(1, 0);
  b.block_start.assign(1, 0);
  for (const auto& [s, tokens] : plan.chunks) {
    const auto first = static_cast<ptrdiff_t>(s->computed), end = first + tokens;
    b.ids.insert(b.ids.end(), s->tokens.begin() + first, s->tokens.begin() + end);
    b.positions.insert(b.positions.end(), s->positions->begin() + first, s->positions->begin() + end);
    b.context.push_back(static_cast<int32_t>(first));
    b.block_table.insert(b.block_table.end(), s->pages.begin(), s->pages.begin() + PagesFor(end));
    b.sequence_start.push_back(static_cast<int32_t>(b.ids.size()));
    b.block_start.push_back(static_cast<int32_t>(b.block_table.size()));
  }
}

void Engine::ScorePrompts(Pass& pass, const StepPlan& plan, const Tensor& hidden) {
  bool any = false;
  for (const auto& [s, tokens] : plan.chunks) any |= s->score_prompt;
  if (!any) return;
  score_targets_.assign(static_cast<size_t>(batch_.tokens()), -1);
  size_t row = 0;
  for (const auto& [s, tokens] : plan.chunks) {
    for (int64_t i = s->computed; i < s->computed + tokens; ++i, ++row) {
      if (s->score_prompt && i + 1 < s->prompt_length()) score_targets_[row] = s->tokens[static_cast<size_t>(i) + 1];
    }
  }
  const ArenaScope scope(pass.arena);
  const LogProbs scores = decoder_.TargetLogProbs(pass, hidden, score_targets_, &scored_rows_);
  const float* score = scores.logprob.as<float>();
  size_t next = 0;
  for (size_t c = 0; c < plan.chunks.size(); ++c) {
    const Sequence& s = *plan.chunks[c].sequence;
    while (next < scored_rows_.size() && scored_rows_[next] < batch_.sequence_start[c + 1]) {
      const int64_t place = s.computed + scored_rows_[next] - batch_.sequence_start[c] + 1;
      active_.at(s.request_id)->prompt_logprobs[static_cast<size_t>(place)] = score[next];
      ++next;
    }
  }
}

// Which rows of the batch are followed by a new token. The samples of a request are split off at the end of its prompt.
void Engine::ListSamples(const StepPlan& plan) {
  samples_.clear();
  forks_.clear();
  done_.clear();
  const auto add = [&](Sequence* s, int32_t row) {
    if (s->full()) {
      done_.push_back(s);
    } else {
      samples_.push_back({.sequence = s, .row = row});
    }
  };
  for (size_t c = 0; c < plan.chunks.size(); ++c) {
    Sequence* s = plan.chunks[c].sequence;
    if (plan.chunks[c].tokens < s->remaining()) continue;
    const int32_t row = batch_.sequence_start[c + 1] - 1;
    add(s, row);
    for (int64_t i = 1; i <= s->forks; ++i) {
      forks_.push_back(std::make_unique<Sequence>(*s, i));
      add(forks_.back().get(), row);
    }
  }
}

void Engine::Sample(Pass& pass, const Tensor& hidden) {
  // Rows of one temperature go together; which rows are neighbours changes nothing.
  const auto cooler = [](const Sampled& a, const Sampled& b) {
    return a.sequence->sampling.inverse_temperature() < b.sequence->sampling.inverse_temperature();
  };
  if (!std::is_sorted(samples_.begin(), samples_.end(), cooler)) {
    std::stable_sort(samples_.begin(), samples_.end(), cooler);
  }
  const auto most = static_cast<size_t>(std::max<int64_t>(16, kLogitsAtOnce / decoder_.config().vocab_size));
  for (size_t begin = 0, end = 0; begin < samples_.size(); begin = end) {
    while (end < samples_.size() && end - begin < most && !cooler(samples_[begin], samples_[end])) ++end;
    SampleRows(pass, hidden, begin, end);
  }
}

void Engine::SampleRows(Pass& pass, const Tensor& hidden, size_t begin, size_t end) {
  const ArenaScope scope(pass.arena);
  const auto count = static_cast<int64_t>(end - begin);
  auto* rows = pass.arena.New<int32_t>(count);
  auto* chosen = pass.arena.New<int32_t>(count);
  auto* draws = pass.arena.New<Draw>(count);
  for (int64_t i = 0; i < count; ++i) {
    const Sampled& sampled = samples_[begin + static_cast<size_t>(i)];
    rows[i] = sampled.row;
    draws[i] = {&sampled.sequence->sampling, static_cast<uint64_t>(sampled.sequence->generated())};
  }
  const double inverse_temperature = draws[0].options->inverse_temperature();
  const Tensor logits = Logits(pass, Gather(pass, hidden, rows, count), decoder_.head());
  sampler_.Choose(logits, {draws, static_cast<size_t>(count)}, chosen);
  const LogProbs logprobs = LogProbOfLogits(pass, logits, chosen, inverse_temperature);
  for (int64_t i = 0; i < count; ++i) {
    Sampled& sampled = samples_[begin + static_cast<size_t>(i)];
    sampled.token = chosen[i];
    sampled.logprob = logprobs.logprob.as<float>()[i];
    const int64_t top = sampled.sequence->request->top_logprobs;
    if (top == 0) continue;
    const std::span<const float> row(logits.as<float>() + i * logits.stride(0), static_cast<size_t>(logits.size(1)));
    sampled.top = TopTokens(row, top, inverse_temperature, logprobs.lse.as<float>()[i], sampler_.scratch());
  }
}

void Engine::Deliver() {
  for (std::unique_ptr<Sequence>& fork : forks_) {
    std::vector<std::unique_ptr<Sequence>>& sequences = active_.at(fork->request_id)->sequences;
    sequences[0]->forks = 0;
    scheduler_.Fork(*sequences[0], fork.get());
    sequences[static_cast<size_t>(fork->sample)] = std::move(fork);
  }
  for (Sampled& sampled : samples_) {
    Sequence* s = sampled.sequence;
    s->score_prompt = false;
    s->Append(sampled.token, sampled.logprob);
    if (s->request->top_logprobs > 0) s->top.push_back(std::move(sampled.top));
    ++stats_.generated_tokens;
    if (callback_) callback_(s->request_id, s->sample, sampled.token, sampled.logprob);
    if (s->StoppedBy(sampled.token)) {
      Finish(s, FinishReason::kStop);
    } else if (s->full()) {
      Finish(s, FinishReason::kLength);
    }
  }
  for (Sequence* s : done_) Finish(s, FinishReason::kLength);
}

void Engine::Finish(Sequence* sequence, FinishReason reason) {
  scheduler_.Remove(sequence);
  const auto entry = active_.find(sequence->request_id);
  Active& active = *entry->second;
  finished_.push_back(sequence->Finish(reason));
  finished_.back().prompt_logprobs = active.prompt_logprobs;
  active.sequences[static_cast<size_t>(sequence->sample)].reset();
  if (--active.unfinished == 0) active_.erase(entry);
}

void Engine::Cancel(int64_t request) {
  if (stepping_) {
    cancelled_.push_back(request);
  } else {
    CancelNow(request);
  }
}

void Engine::CancelNow(int64_t request) {
  const auto entry = active_.find(request);
  if (entry == active_.end()) return;
  Active& active = *entry->second;
  // Samples that were not split off yet end without a token; the first one, which they wait for, comes last.
  const Sequence* first = active.sequences[0].get();
  if (first != nullptr) {
    for (int64_t i = 1; i <= first->forks; ++i) {
      finished_.push_back(Sequence(*first, i).Finish(FinishReason::kCancelled));
      finished_.back().prompt_logprobs = active.prompt_logprobs;
      --active.unfinished;
    }
  }
  std::vector<Sequence*> left;
  for (const std::unique_ptr<Sequence>& sequence : active.sequences) {
    if (sequence != nullptr) left.push_back(sequence.get());
  }
  for (Sequence* sequence : left) Finish(sequence, FinishReason::kCancelled);
}

std::vector<Completion> Engine::TakeFinished() { return std::exchange(finished_, {}); }

void Engine::SetTokenCallback(std::function<void(int64_t, int64_t, int32_t, float)> callback) {
  callback_ = std::move(callback);
}

void Engine::WeightsChanged() {
  CHECK(!stepping_);
  scheduler_.PreemptAll();
  pool_.DropPrefixes();
}

std::vector<Completion> Engine::Run(std::vector<Request> requests) {
  for (const Request& request : requests) ValidateRequest(request, decoder_.config(), longest_);
  std::unordered_map<int64_t, int64_t> index;
  for (Request& request : requests) {
    const auto next = static_cast<int64_t>(index.size());
    index.emplace(Submit(std::move(request)), next);
  }
  while (Step()) {
  }
  std::vector<Completion> mine, others;
  for (Completion& completion : finished_) {
    const auto entry = index.find(completion.request);
    if (entry == index.end()) {
      others.push_back(std::move(completion));
    } else {
      completion.request = entry->second;
      mine.push_back(std::move(completion));
    }
  }
  finished_ = std::move(others);
  std::sort(mine.begin(), mine.end(), [](const Completion& a, const Completion& b) {
    return a.request != b.request ? a.request < b.request : a.sample < b.sample;
  });
  return mine;
}

EngineStats Engine::stats() const {
  EngineStats stats = stats_;
  stats.found_tokens = scheduler_.found_tokens();
  stats.preemptions = scheduler_.preemptions();
  stats.running = scheduler_.running();
  stats.waiting = scheduler_.waiting();
  stats.pages = pool_.pages();
  stats.available_pages = pool_.available();
  stats.cached_pages = pool_.cached();
  return stats;
}

}  // namespace sputnik
