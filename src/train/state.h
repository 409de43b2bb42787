// Checkpoints of a run: complete or absent. A checkpoint is a Hugging Face folder with the training state beside it:
//   checkpoints/step-N/  config.json generation_config.json model.safetensors [tokenizer files]
//                        trainer/optimizer.safetensors trainer/state.json  MANIFEST.json (sizes and hashes, written
//                        last)
//                        of a model with an adapter: adapter_config.json adapter_model.safetensors instead of the first
//                        three, so that what stays frozen is not written again and again
//   checkpoints/latest   the name of the newest complete one
//   checkpoints/best     the name of the one that the stage's evaluations liked best so far, if they compare
// It is written under a temporary name, synced, and renamed; whatever kills the process, `latest` names a whole one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "train/optimizer.h"

namespace sputnik {

// Where a run stands. Random numbers and data order are functions of these counts, so nothing else needs saving.
struct RunState {
  int64_t global_step = 0;  // over all stages; names the checkpoint
  std::string stage = {};
  int64_t stage_step = 0;  // optimizer steps done in the stage
  bool stage_done = false;
  int64_t metrics_bytes = 0;  // length of metrics.jsonl that belongs to this state
  int64_t best_step = -1;     // global step of the stage's best checkpoint; it is kept while it is the best; -1: none
  std::map<std::string, double> numbers =
      {};  // what the stage wants back: running means, curriculum level, prompts used
};

struct CheckpointPolicy {
  int64_t keep_last = 2;
};

// Saves and returns the folder. `write_extra` adds files (the tokenizer's) to the folder being written. `pinned`: never
// removed by keep_last (the end of a stage). Throws Error when the disk refuses; older checkpoints are intact.
std::filesystem::path SaveCheckpoint(const std::filesystem::path& run_folder, const RunState& state,
                                     const Decoder& decoder, const Optimizer& optimizer,
                                     const std::function<void(const std::filesystem::path&)>& write_extra,
                                     const CheckpointPolicy& policy, bool pinned);

// Clears away what a killed save left behind. Call with the folder lock held.
void SweepTemporaries(const std::filesystem::path& run_folder);

// The newest complete checkpoint whose files match their manifest; says on the log which broken ones it passed over.
std::optional<std::filesystem::path> NewestCheckpoint(const std::filesystem::path& run_folder);

// Throws Error (bad input) naming the first file that is missing, has another size, or another hash.
void VerifyCheckpoint(const std::filesystem::path& checkpoint);

RunState ReadRunState(const std::filesystem::path& checkpoint);

// The model folder that a user's DIR means: a run folder's newest checkpoint, or the folder itself. It may be an
// adapter's.
std::filesystem::path ResolveModelFolder(const std::filesystem::path& folder);

}  // namespace sputnik
