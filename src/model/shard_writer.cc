#include "model/shard_writer.h"

#include "base/check.h"
#include "model/shard_index.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

int64_t BytesOf(const TensorToStore& tensor) {
  int64_t bytes = SizeOf(tensor.dtype);
  for (const int64_t size : tensor.shape) bytes *= size;
  return bytes;
}

// The first tensor of each file, and the end.
std::vector<size_t> CutIntoFiles(std::span<const TensorToStore> tensors, int64_t most_bytes) {
  std::vector<size_t> starts = {0};
  int64_t filled = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = BytesOf(tensors[i]);
    if (i > starts.back() && filled + bytes > most_bytes) {
      starts.push_back(i);
      filled = 0;
    }
    filled += bytes;
  }
  starts.push_back(tensors.size());
  return starts;
}

}  // namespace

void WriteShards(const fs::path& folder, std::span<const TensorToStore> tensors, int64_t most_bytes,
                 const std::function<void(size_t, const DataSink&)>& produce, const ByteProgress& progress) {
  CHECK_GT(most_bytes, 0);
  const std::vector<size_t> starts = CutIntoFiles(tensors, most_bytes);
  const size_t files = starts.size() - 1;
  ShardIndex index;
  int64_t total = 0, done = 0;
  for (const TensorToStore& tensor : tensors) total += BytesOf(tensor);
  for (size_t file = 0; file < files; ++file) {
    const std::string name =
        files == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, files);
    index.files.push_back(name);
    // transformers asks for the format.
    SafetensorsWriter writer(folder / name, tensors.subspan(starts[file], starts[file + 1] - starts[file]),
                             {{"format", "pt"}});
    for (size_t i = starts[file]; i < starts[file + 1]; ++i) {
      index.file_of.emplace(tensors[i].name, file);
      produce(i, [&](std::span<const std::byte> data) {
        writer.Write(data);
        done += static_cast<int64_t>(data.size());
        if (progress) progress(done, total);
      });
    }
    writer.Commit();
  }
  if (files == 1) return;
  index.total_size = static_cast<uint64_t>(total);
  WriteFileAtomically(folder / kShardIndexName, WriteShardIndex(index));
  fs::remove(folder / "model.safetensors");  // which would go before the index
}

}  // namespace sputnik
