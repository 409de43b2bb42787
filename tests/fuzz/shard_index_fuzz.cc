#include "base/check.h"
#include "model/shard_index.h"
#include "tests/fuzz/target.h"

// What is accepted is the same once written, and stays in its folder.
SPUTNIK_FUZZ_TARGET(shard_index) {
  const sputnik::ShardIndex index = sputnik::ParseShardIndex(input, "index");
  for (const std::string& file : index.files) {
    CHECK_EQ(std::filesystem::path(file).filename().string(), file);
    CHECK(file != "..");
  }
  const sputnik::ShardIndex again = sputnik::ParseShardIndex(WriteShardIndex(index), "index");
  CHECK_EQ(again.file_of.size(), index.file_of.size());
  for (const auto& [name, file] : index.file_of) CHECK_EQ(again.files[again.file_of.at(name)], index.files[file]);
}
