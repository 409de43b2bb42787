// The folder of one run: its lock, metrics, ledger and checkpoints. One process writes to it at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "train/ledger.h"
#include "train/metrics.h"
#include "train/state.h"

namespace sputnik {

class RunFolder {
 public:
  // Creates and locks the folder. If it holds a run already: with `resume` its newest complete checkpoint is taken up
  // and metrics written after it are dropped; without, Error (usage).
  RunFolder(const std::filesystem::path& path, bool resume, const PriceConfig& prices, double peak_flops);

  const std::filesystem::path& path() const { return path_; }
  // The checkpoint taken up, if any, and where it stood.
  const std::optional<std::filesystem::path>& checkpoint() const { return checkpoint_; }
  const RunState& resumed() const { return resumed_; }

  Ledger& ledger() { return ledger_; }
  void Log(const MetricsLine& line) { metrics_->Append(line.Text()); }

  // Files that every checkpoint carries beside the model's (the tokenizer's).
  void SetExtraFiles(std::function<void(const std::filesystem::path&)> write) { write_extra_ = std::move(write); }

  // Saves a checkpoint; what was logged and booked before it stays with it on resume. Remembers it as the newest.
  // The time since the last booking is the stage's, that of the saving itself "other".
  void Save(RunState state, const Decoder& decoder, const Optimizer& optimizer, int64_t keep_last, bool pinned);
  // Saves what was booked since the newest checkpoint without any training: evaluations.
  void SaveLedger() const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<FolderLock> lock_;
  std::optional<std::filesystem::path> checkpoint_;
  RunState resumed_;
  Ledger ledger_;
  std::unique_ptr<LineAppender> metrics_;
  std::function<void(const std::filesystem::path&)> write_extra_;
};

}  // namespace sputnik
