#include "train/state.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "MANIFEST.json";
constexpr int64_t kFormat = 1;

std::string StepName(int64_t step) { return fmt::format("step-{}", step); }

// The N of step-N, or -1.
int64_t StepOf(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with("step-") || name.size() > 20) return -1;
  const std::string digits = name.substr(5);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::stoll(digits);
}

std::vector<fs::path> StepsNewestFirst(const fs::path& checkpoints) {
  std::vector<fs::path> steps;
  if (!fs::is_directory(checkpoints)) return steps;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (entry.is_directory() && StepOf(entry.path()) >= 0) steps.push_back(entry.path());
  }
  std::sort(steps.begin(), steps.end(), [](const fs::path& a, const fs::path& b) { return StepOf(a) > StepOf(b); });
  return steps;
}

void WriteState(const fs::path& path, const RunState& state) {
  OrderedJson json;
  json["format"] = kFormat;
  json["global_step"] = state.global_step;
  json["stage"] = state.stage;
  json["stage_step"] = state.stage_step;
  json["stage_done"] = state.stage_done;
  json["metrics_bytes"] = state.metrics_bytes;
  json["best_step"] = state.best_step;
  json["numbers"] = state.numbers;
  WriteFileAtomically(path, json.dump(2) + "\n");
}

void WriteManifest(const fs::path& folder, bool pinned) {
  OrderedJson json;
  json["format"] = kFormat;
  json["pinned"] = pinned;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    SyncFile(file);  // whoever wrote it, and however
    const MappedFile mapped(file);
    json["files"][fs::relative(file, folder).string()] = {{"bytes", mapped.bytes().size()},
                                                          {"sha256", Sha256(mapped.bytes())}};
  }
  WriteFileAtomically(folder / kManifest, json.dump(2) + "\n");
}

Json ReadManifest(const fs::path& checkpoint) {
  const Json json = ReadJsonFile(checkpoint / kManifest);
  if (!json.is_object() || json.value("format", int64_t{0}) != kFormat || !json.contains("files") ||
      !json["files"].is_object()) {
    ThrowBadInput("{}: not a manifest of this program's format {}", (checkpoint / kManifest).string(), kFormat);
  }
  return json;
}

bool IsPinned(const fs::path& checkpoint) {
  try {
    return ReadManifest(checkpoint).value("pinned", false);
  } catch (const Error&) {
    return false;
  }
}

// A checkpoint stops being one before its files go: rename first, delete after.
void RemoveCheckpoint(const fs::path& checkpoint) {
  fs::path doomed = checkpoint;
  doomed += ".removed";
  fs::rename(checkpoint, doomed);
  SyncDirectory(checkpoint.parent_path());
  fs::remove_all(doomed);
}

// Puts a complete folder in the place of `final`. A checkpoint that is there already stays whole until the new one is.
void Publish(const fs::path& folder, const fs::path& final) {
  if (!fs::exists(final)) return fs::rename(folder, final);
  if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, final.c_str(), RENAME_EXCHANGE) == 0) {
    SyncDirectory(final.parent_path());
    fs::remove_all(folder);
    return;
  }
  // A file system that cannot exchange two names. SweepTemporaries puts the old one back if this gets no further.
  fs::path replaced = final;
  replaced += ".replaced";
  fs::remove_all(replaced);
  fs::rename(final, replaced);
  fs::rename(folder, final);
  SyncDirectory(final.parent_path());
  fs::remove_all(replaced);
}

void NameBest(const fs::path& checkpoints, int64_t best_step) {
  const std::string name = StepName(best_step);
  if (best_step >= 0 && fs::exists(checkpoints / name)) {
    WriteFileAtomically(checkpoints / "best", name + "\n");
  } else {
    fs::remove(checkpoints / "best");
  }
}

// Steps after the one just saved were passed over as broken when the run was taken up; they count for nothing, or they
// would push out what is good.
void Prune(const fs::path& checkpoints, const RunState& state, int64_t keep_last) {
  int64_t kept = 0;
  for (const fs::path& step : StepsNewestFirst(checkpoints)) {
    if (StepOf(step) > state.global_step || StepOf(step) == state.best_step || IsPinned(step)) continue;
    if (++kept > keep_last) RemoveCheckpoint(step);
  }
}

}  // namespace

fs::path SaveCheckpoint(const fs::path& run_folder, const RunState& state, const Decoder& decoder,
                        const Optimizer& optimizer, const std::function<void(const fs::path&)>& write_extra,
                        const CheckpointPolicy& policy, bool pinned) {
  const fs::path checkpoints = run_folder / "checkpoints", final = checkpoints / StepName(state.global_step);
  fs::path folder = final;
  folder += ".tmp";
  try {
    CreateFolders(checkpoints);
    fs::remove_all(folder);
    fs::create_directories(folder / "trainer");
    if (decoder.adapter() != nullptr) {
      SaveAdapter(folder, *decoder.adapter());  // all that has changed; it names its base
    } else {
      SaveModel(folder, decoder);
    }
    if (write_extra) write_extra(folder);
    optimizer.Save(folder / "trainer" / "optimizer.safetensors");
    WriteState(folder / "trainer" / "state.json", state);
    WriteManifest(folder, pinned);  // as with all files here, its folder is synced after it
    Publish(folder, final);
    SyncDirectory(checkpoints);
    WriteFileAtomically(checkpoints / "latest", final.filename().string() + "\n");
    NameBest(checkpoints, state.best_step);
    Prune(checkpoints, state, policy.keep_last);
  } catch (const fs::filesystem_error& e) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    ThrowFailure("{}: cannot save the checkpoint: {}; earlier checkpoints are intact", final.string(),
                 e.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    throw;
  }
  return final;
}

void SweepTemporaries(const fs::path& run_folder) {
  const fs::path checkpoints = run_folder / "checkpoints";
  if (!fs::is_directory(checkpoints)) return;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".tmp" || extension == ".removed" || extension == ".replaced") leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) {
    fs::path original = leftover;
    original.replace_extension();
    if (leftover.extension() == ".replaced" && !fs::exists(original)) {
      fs::rename(leftover, original);
    } else {
      fs::remove_all(leftover);
    }
  }
}

void VerifyCheckpoint(const fs::path& checkpoint) {
  const Json manifest = ReadManifest(checkpoint);
  for (const auto& [name, entry] : manifest["files"].items()) {
    const fs::path path = checkpoint / name;
    if (!entry.is_object() || fs::path(name).is_absolute() || name.find("..") != std::string::npos) {
      ThrowBadInput("{}: unusable entry `{}` in the manifest", checkpoint.string(), name);
    }
    const MappedFile file(path);
    if (file.bytes().size() != entry.value("bytes", uint64_t{0})) {
      ThrowBadInput("{}: {} bytes, but the manifest says {}", path.string(), file.bytes().size(),
                    entry.value("bytes", uint64_t{0}));
    }
    if (Sha256(file.bytes()) != entry.value("sha256", std::string())) {
      ThrowBadInput("{}: its contents do not match the manifest's hash", path.string());
    }
  }
}

std::optional<fs::path> NewestCheckpoint(const fs::path& run_folder) {
  for (const fs::path& step : StepsNewestFirst(run_folder / "checkpoints")) {
    try {
      VerifyCheckpoint(step);
      return step;
    } catch (const Error& e) {
      LogWarning("passing over a broken checkpoint: {}", e.what());
    }
  }
  return std::nullopt;
}

RunState ReadRunState(const fs::path& checkpoint) {
  const fs::path path = checkpoint / "trainer" / "state.json";
  const Json json = ReadJsonFile(path);
  RunState state;
  try {
    if (json.at("format").get<int64_t>() != kFormat) ThrowBadInput("{}: written by another version", path.string());
    state.global_step = json.at("global_step").get<int64_t>();
    state.stage = json.at("stage").get<std::string>();
    state.stage_step = json.at("stage_step").get<int64_t>();
    state.stage_done = json.at("stage_done").get<bool>();
    state.metrics_bytes = json.at("metrics_bytes").get<int64_t>();
    state.best_step = json.value("best_step", int64_t{-1});
    state.numbers = json.at("numbers").get<std::map<std::string, double>>();
  } catch (const Json::exception& e) {
    ThrowBadInput("{}: {}", path.string(), e.what());
  }
  return state;
}

fs::path ResolveModelFolder(const fs::path& folder) {
  if (!fs::is_directory(folder)) ThrowBadInput("{}: no such folder", folder.string());
  if (fs::exists(folder / "config.json") || IsAdapterFolder(folder)) return folder;
  if (fs::is_directory(folder / "checkpoints")) {
    if (const auto newest = NewestCheckpoint(folder)) return *newest;
    ThrowBadInput("{}: the run has no complete checkpoint yet", folder.string());
  }
  ThrowBadInput("{}: neither a model folder (no config.json) nor a run folder (no checkpoints)", folder.string());
}

}  // namespace sputnik
