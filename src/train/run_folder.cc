#include "train/run_folder.h"

#include "base/error.h"

namespace sputnik {

namespace fs = std::filesystem;

RunFolder::RunFolder(const fs::path& path, bool resume, const PriceConfig& prices, double peak_flops)
    : path_(path), ledger_(prices, peak_flops) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) ThrowFailure("{}: cannot create the run folder: {}", path.string(), error.message());
  lock_ = std::make_unique<FolderLock>(path);
  const fs::path metrics = path / "metrics.jsonl", ledger = path / "ledger.json";
  const bool begun = (fs::exists(metrics) && fs::file_size(metrics) > 0) || fs::exists(path / "checkpoints");
  if (!resume && begun) {
    ThrowUsage("{}: holds a run already; go on with it by --resume, or give another folder with --out", path.string());
  }
  SweepTemporaries(path);
  checkpoint_ = NewestCheckpoint(path);
  if (checkpoint_) {
    resumed_ = ReadRunState(*checkpoint_);
    if (fs::exists(ledger)) ledger_.Load(ledger);
  }
  metrics_ = std::make_unique<LineAppender>(metrics, resumed_.metrics_bytes);
}

void RunFolder::Save(RunState state, const Decoder& decoder, const Optimizer& optimizer, int64_t keep_last,
                     bool pinned) {
  metrics_->Sync();
  state.metrics_bytes = metrics_->bytes();
  checkpoint_ = SaveCheckpoint(path_, state, decoder, optimizer, write_extra_, {.keep_last = keep_last}, pinned);
  ledger_.Save(path_ / "ledger.json");
}

}  // namespace sputnik
