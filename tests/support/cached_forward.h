// Runs sequences through a KV cache in chunks, as an engine would, and collects their hidden states.
#pragma once

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "model/decoder.h"

namespace sputnik {

class CachedForward {
 public:
  // Pages are handed out in a scrambled order. `sequences` gives ids and positions of each whole sequence.
  CachedForward(const Decoder& decoder, const Machine& machine, AttentionForm form, const Batch& whole)
      : decoder_(decoder),
        machine_(machine),
        whole_(whole),
        cache_(decoder.config(), form, decoder.params().dtype(), PagesFor(whole)) {
    const int64_t pages = cache_.pages();
    int64_t next = 0;
    for (int64_t s = 0; s < whole.sequences(); ++s) {
      pages_.emplace_back();
      for (int64_t j = 0; j < PagesOf(Length(s)); ++j) {
        pages_.back().push_back(
            static_cast<int32_t>(PermutedIndex(static_cast<uint64_t>(pages), static_cast<uint64_t>(next++), 77)));
      }
      done_.push_back(0);
    }
    hidden_.resize(static_cast<size_t>(whole.tokens() * decoder.config().hidden_size));
  }

  KvCache& cache() { return cache_; }
  std::vector<std::vector<int32_t>>& pages() { return pages_; }

  // Takes up to `chunk` tokens of every sequence at once until all are done. T is the model's number type.
  template <class T>
  std::vector<double> Run(Arena& arena, int64_t chunk) {
    while (Step<T>(arena, std::vector<int64_t>(done_.size(), chunk))) {
    }
    return hidden_;
  }

  // One batch of the next `chunks[s]` tokens of each sequence s; false if nothing was left.
  template <class T>
  bool Step(Arena& arena, const std::vector<int64_t>& chunks) {
    Batch batch;
    std::vector<int64_t> rows;
    batch.sequence_start = {0};
    batch.block_start = {0};
    for (size_t s = 0; s < done_.size(); ++s) {
      const int64_t count = std::min(chunks[s], Length(static_cast<int64_t>(s)) - done_[s]);
      if (count == 0) continue;
      for (int64_t i = 0; i < count; ++i) {
        rows.push_back(whole_.sequence_start[s] + done_[s] + i);
        batch.ids.push_back(whole_.ids[static_cast<size_t>(rows.back())]);
        batch.positions.push_back(whole_.positions[static_cast<size_t>(rows.back())]);
      }
      batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
      batch.context.push_back(static_cast<int32_t>(done_[s]));
      batch.block_table.insert(batch.block_table.end(), pages_[s].begin(), pages_[s].end());
      batch.block_start.push_back(static_cast<int32_t>(batch.block_table.size()));
      done_[s] += count;
    }
    if (rows.empty()) return false;
    const ArenaScope scope(arena);
    Pass pass(machine_, arena);
    const Tensor hidden = decoder_.Forward(pass, batch, {.cache = &cache_}).hidden;
    const int64_t width = hidden.size(1);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (int64_t c = 0; c < width; ++c) {
        hidden_[static_cast<size_t>(rows[i] * width + c)] =
            static_cast<double>(hidden.as<T>()[static_cast<int64_t>(i) * width + c]);
      }
    }
    return true;
  }

 private:
  static int64_t PagesOf(int64_t tokens) { return (tokens + kKeyBlock - 1) / kKeyBlock; }
  static int64_t PagesFor(const Batch& batch) {
    int64_t pages = 2;  // some to spare
    for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
      pages += PagesOf(batch.sequence_start[s + 1] - batch.sequence_start[s]);
    }
    return pages;
  }
  int64_t Length(int64_t s) const {
    return whole_.sequence_start[static_cast<size_t>(s) + 1] - whole_.sequence_start[static_cast<size_t>(s)];
  }

  const Decoder& decoder_;
  const Machine& machine_;
  const Batch& whole_;
  KvCache cache_;
  std::vector<std::vector<int32_t>> pages_;
  std::vector<int64_t> done_;
  std::vector<double> hidden_;
};

// Hidden states of all sequences in one forward without a cache.
template <class T>
std::vector<double> FullForward(const Decoder& decoder, const Machine& machine, Arena& arena, const Batch& batch) {
  const ArenaScope scope(arena);
  Pass pass(machine, arena);
  const Tensor hidden = decoder.Forward(pass, batch).hidden;
  const auto values = hidden.span<T>();
  return {values.begin(), values.end()};
}

}  // namespace sputnik
