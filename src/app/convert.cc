#include "app/convert.h"

#include <stdlib.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "app/output.h"
#include "app/serving_memory.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "model/adapter_file.h"
#include "model/checkpoint.h"
#include "train/state.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

// What belongs to a model beside its config and weights.
constexpr const char* kCompanions[] = {"tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "vocab.json",
                                       "merges.txt",
                                       "tokenizer.model",
                                       "chat_template.jinja",
                                       "chat_template.json",
                                       "generation_config.json"};

// A folder that is not there until all of it is. Where the program is killed, what it leaves has a name of its own.
class NewFolder {
 public:
  explicit NewFolder(fs::path path) : path_(std::move(path)) {
    if (path_.filename().empty()) path_ = path_.parent_path();  // "out/"
    if (fs::exists(path_) && !(fs::is_directory(path_) && fs::is_empty(path_))) {
      ThrowUsage("{}: there is something in it already; give another --out", path_.string());
    }
    if (path_.has_parent_path()) CreateFolders(path_.parent_path());
    std::string name = path_.string() + ".partial-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) ThrowFailure("{}: cannot create a folder beside it", path_.string());
    temporary_ = name;
    fs::permissions(temporary_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                    fs::perms::others_read | fs::perms::others_exec);
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& temporary() const { return temporary_; }
  void Publish() {
    SyncDirectory(temporary_);
    fs::rename(temporary_, path_);  // over an empty folder, too
    temporary_.clear();
    SyncDirectory(path_.parent_path());
  }

 private:
  fs::path path_, temporary_;
};

std::optional<DType> TypeNamed(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  return std::nullopt;
}

}  // namespace

int64_t ParseByteSize(std::string_view text, std::string_view flag) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},      {"B", 1},         {"KB", 1e3},      {"MB", 1e6},      {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 0x1p40}};
  for (const auto& [name, factor] : kUnits) {
    if (error != std::errc() || unit != name) continue;
    const double bytes = number * factor;
    if (bytes >= 1 && bytes < 0x1p60) return static_cast<int64_t>(bytes);
  }
  ThrowUsage("{}: \"{}\" is no size; expected one such as 5GB, 500MB or 16KiB", flag, text);
}

ExitCode RunConvert(CommandLine& line) {
  std::string folder, out, dtype = "kept", size = "5GB", adapter_folder;
  line.ModelFlag(&folder, true);
  line.AdapterFlag(&adapter_folder);
  line.Flag("--out,-o DIR", &out, "the folder to make; it must not exist, or be empty");
  line.Flag("--dtype TYPE", &dtype, "f32, bf16, or kept: each tensor's own, bf16 for eight-bit weights").choices = {
      "kept", "f32", "bf16"};
  line.Flag("--max-shard-size SIZE", &size, "of one file of weights, as 5GB or 500MB");
  line.Require("--model");
  line.Require("--out");
  line.Example("sputnik convert models/DeepSeek-V3 --out models/DeepSeek-V3-bf16 --dtype bf16 --max-shard-size 10GB");
  line.Note(
      "Tensors keep their names, and their bytes where their type stays; MTP modules are taken along. Eight-bit "
      "weights "
      "are multiplied by their scales. config.json keeps every key that still holds, and the tokenizer's files are "
      "copied. An adapter is merged into the weights. The new folder appears when it is complete.");
  if (!line.Parse()) return ExitCode::kOk;
  const int64_t most_bytes = ParseByteSize(size, "--max-shard-size");

  const fs::path resolved = ResolveModelFolder(folder);
  const StoredModel stored(WeightsFolder(resolved));
  std::unique_ptr<Adapter> adapter;
  if (IsAdapterFolder(resolved) && !adapter_folder.empty()) {
    ThrowUsage("{}: is an adapter already; merge one after the other", folder);
  }
  if (IsAdapterFolder(resolved)) adapter_folder = resolved.string();
  if (!adapter_folder.empty()) {
    adapter = LoadAdapter(ResolveModelFolder(adapter_folder), stored.config(), DType::kF32, false);
  }
  NewFolder target(out);
  {
    std::optional<Progress> progress;
    ConvertModel(
        stored, target.temporary(), TypeNamed(dtype), most_bytes,
        [&](int64_t done, int64_t total) {
          constexpr int64_t kMega = 1'000'000;
          if (line.global().quiet || total < 100 * kMega) return;  // gone before anyone could read it
          if (!progress) progress.emplace("writing weights, MB", total / kMega);
          progress->Update(done / kMega, "");
        },
        adapter.get());
  }
  for (const char* name : kCompanions) {
    const fs::path own = resolved / name, from = fs::is_regular_file(own) ? own : stored.folder() / name;
    if (!fs::is_regular_file(from)) continue;
    WriteFileAtomically(target.temporary() / name, ReadFile(from));
  }
  target.Publish();
  LogInfo("{}: made of {} in {}, types {}", out, ReadableBytes(stored.bytes()), stored.TypeNames(), dtype);
  return ExitCode::kOk;
}

}  // namespace sputnik
