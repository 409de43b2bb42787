#include "train/run_folder.h"

#include "base/error.h"
#include "base/file.h"

namespace sputnik {

namespace fs = std::filesystem;

RunFolder::RunFolder(const fs::path& path, bool resume, const PriceConfig& prices, double peak_flops)
    : path_(path), ledger_(prices, peak_flops) {
  CreateFolders(path);
  lock_ = std::make_unique<FolderLock>(path);
  const fs::path metrics = path / "metrics.jsonl";
  const bool begun = (fs::exists(metrics) && fs::file_size(metrics) > 0) || fs::exists(path / "checkpoints");
  if (!resume && begun) {
    ThrowUsage("{}: holds a run already; go on with it by --resume, or give another folder with --out", path.string());
  }
  SweepTemporaries(path);
  checkpoint_ = NewestCheckpoint(path);
  if (checkpoint_) {
    resumed_ = ReadRunState(*checkpoint_);
    // The one beside the metrics knows of evaluations since, if it is of this checkpoint: it may be from before or
    // after.
    const fs::path beside = path / "ledger.json", within = *checkpoint_ / "trainer" / "ledger.json";
    if (Ledger::CheckpointOf(beside) == checkpoint_->filename()) {
      ledger_.Load(beside);
    } else if (fs::exists(within)) {
      ledger_.Load(within);
    }
  }
  metrics_ = std::make_unique<LineAppender>(metrics, resumed_.metrics_bytes);
}

void RunFolder::Save(RunState state, const Decoder& decoder, const Optimizer& optimizer, int64_t keep_last,
                     bool pinned) {
  ledger_.Book(state.stage);
  metrics_->Sync();
  state.metrics_bytes = metrics_->bytes();
  const auto write_extra = [this](const fs::path& folder) {
    if (write_extra_) write_extra_(folder);
    ledger_.Save(folder / "trainer" / "ledger.json");
  };
  checkpoint_ = SaveCheckpoint(path_, state, decoder, optimizer, write_extra, {.keep_last = keep_last}, pinned);
  ledger_.Book(kOtherPart);
  SaveLedger();
}

void RunFolder::SaveLedger() const {
  ledger_.Save(path_ / "ledger.json", checkpoint_ ? checkpoint_->filename().string() : std::string());
}

}  // namespace sputnik
