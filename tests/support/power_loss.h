// What a disk may hold when the power fails: of files only what was synced, of folders' entries what was synced or,
// on another file system, what was changed last. A test program that hands its calls of the C library to the one that
// is `watched` (tests/train/state_test.cc) can look at every moment of a save.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace sputnik {

class PowerLoss {
 public:
  // Files by their path below the root, folders by theirs with a slash at the end.
  using Tree = std::map<std::string, std::string>;

  static inline PowerLoss* watched = nullptr;

  explicit PowerLoss(const std::filesystem::path& root) : root_(root), root_id_(IdOf(root)) { watched = this; }
  ~PowerLoss() { watched = nullptr; }
  PowerLoss(const PowerLoss&) = delete;
  PowerLoss& operator=(const PowerLoss&) = delete;

  // Before every change: keeps what could be found after a failure now.
  void Moment() {
    Tree eager, lazy, mixed, reordered;
    WalkDisk(root_, "", eager);
    WalkSynced(root_id_, "", false, lazy);
    WalkSynced(root_id_, "", true, mixed);
    if (renamed_) {
      const auto [folder, name, id] = *renamed_;
      const Entries synced = entries_[folder];
      entries_[folder][name] = id;
      WalkSynced(root_id_, "", false, reordered);
      entries_[folder] = synced;
    } else {
      reordered = lazy;
    }
    for (Tree* tree : {&eager, &lazy, &mixed, &reordered}) moments_.insert(std::move(*tree));
  }
  std::set<Tree> TakeMoments() { return std::exchange(moments_, {}); }

  void Synced(int fd) {
    char name[4096];
    const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof name);
    if (length <= 0) return;
    const std::filesystem::path path(std::string(name, static_cast<size_t>(length)));
    if (!path.string().starts_with(root_.string())) return;
    if (std::filesystem::is_directory(path)) {
      entries_[IdOf(path)] = List(path);
      if (renamed_ && renamed_->folder == IdOf(path)) renamed_.reset();
    } else {
      contents_[IdOf(path)] = Contents(path);
    }
  }

  // A name has gone and its file with it: the system may give its number to another one.
  void Gone(const struct stat& status) {
    const auto found = ids_.find(status.st_ino);
    if (found == ids_.end()) return;
    gone_.insert(found->second);
    ids_.erase(found);
  }

  // The last renaming may be on the disk before what was changed in that folder earlier.
  void Renamed(const std::filesystem::path& to) {
    renamed_ = {.folder = IdOf(to.parent_path()), .name = to.filename().string(), .id = IdOf(to)};
  }

  static void Write(const Tree& tree, const std::filesystem::path& folder) {
    for (const auto& [name, contents] : tree) {
      if (name.ends_with('/')) {
        std::filesystem::create_directories(folder / name);
      } else {
        std::ofstream(folder / name, std::ios::binary) << contents;
      }
    }
  }

 private:
  using Id = int64_t;
  using Entries = std::map<std::string, Id>;

  Id IdOf(const std::filesystem::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return -1;
    const bool folder = S_ISDIR(status.st_mode);
    const auto known = ids_.find(status.st_ino);
    if (known != ids_.end() && folders_.contains(known->second) == folder) return known->second;
    const Id id = next_++;
    ids_[status.st_ino] = id;
    if (folder) folders_.insert(id);
    return id;
  }
  Entries List(const std::filesystem::path& folder) {
    Entries entries;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      entries[entry.path().filename().string()] = IdOf(entry.path());
    }
    return entries;
  }
  static std::string Contents(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Entries as they are, whether synced or not; contents as synced.
  void WalkDisk(const std::filesystem::path& folder, const std::string& prefix, Tree& tree) {
    for (const auto& [name, id] : List(folder)) {
      if (folders_.contains(id)) {
        tree[prefix + name + "/"];
        WalkDisk(folder / name, prefix + name + "/", tree);
      } else {
        tree[prefix + name] = contents_[id];
      }
    }
  }
  // Entries and contents as synced; `without_gone`: but what was removed since is not there any more.
  void WalkSynced(Id folder, const std::string& prefix, bool without_gone, Tree& tree) {
    for (const auto& [name, id] : entries_[folder]) {
      if (without_gone && gone_.contains(id)) continue;
      if (folders_.contains(id)) {
        tree[prefix + name + "/"];
        WalkSynced(id, prefix + name + "/", without_gone, tree);
      } else {
        tree[prefix + name] = contents_[id];
      }
    }
  }

  std::filesystem::path root_;
  struct Renaming {
    Id folder;
    std::string name;
    Id id;
  };

  Id next_ = 0;
  std::map<ino_t, Id> ids_;  // of what is on the disk
  std::set<Id> gone_, folders_;
  std::map<Id, std::string> contents_;
  std::map<Id, Entries> entries_;
  std::optional<Renaming> renamed_;  // not synced yet
  std::set<Tree> moments_;
  Id root_id_;
};

}  // namespace sputnik
