#include "train/state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/power_loss.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

// What happens to the n-th change of the disk from now on: the process dies within it, or the disk refuses.
struct Fault {
  enum Kind { kNone, kKill, kRefuse } kind = kNone;
  int64_t countdown = 0;
  int error = 0;
} fault;

// Every change of the disk comes through here, before it is made.
bool Strikes() {
  if (PowerLoss::watched != nullptr) PowerLoss::watched->Moment();
  return fault.kind != Fault::kNone && --fault.countdown == 0;
}

// -1 with errno set if the disk refuses; does not come back if the process dies.
long OrFault(long (*call)(const void* arguments), const void* arguments) {
  if (!Strikes()) return call(arguments);
  if (fault.kind == Fault::kKill) ::kill(::getpid(), SIGKILL);
  errno = fault.error;
  return -1;
}
template <class F>
long OrFault(F f) {
  return OrFault([](const void* arguments) { return (*static_cast<const F*>(arguments))(); }, &f);
}

// Tells the watched disk what a call took away.
class Removal {
 public:
  Removal(int folder, const char* path)
      : known_(PowerLoss::watched != nullptr && ::fstatat(folder, path, &status_, AT_SYMLINK_NOFOLLOW) == 0) {}
  long After(long result) const {
    if (result == 0 && known_) PowerLoss::watched->Gone(status_);
    return result;
  }

 private:
  struct stat status_ {};
  bool known_;
};

}  // namespace
}  // namespace sputnik

// The C library's calls that change the disk, for this whole test program: they do what they always do until a fault
// is due. Only fsync is left out, as these tests do not cut the power and would wait for it most of the time; what it
// would have made durable is what tests/train/power_loss_test.cc looks at.
extern "C" {
ssize_t write(int fd, const void* data, size_t bytes) {
  if (fd > 2 && sputnik::Strikes()) {
    syscall(SYS_write, fd, data, bytes / 2);  // torn
    if (sputnik::fault.kind == sputnik::Fault::kKill) kill(getpid(), SIGKILL);
    errno = sputnik::fault.error;
    return -1;
  }
  return syscall(SYS_write, fd, data, bytes);
}
int fsync(int fd) noexcept(noexcept(::fsync(0))) {
  return static_cast<int>(sputnik::OrFault([=] {
    if (fcntl(fd, F_GETFD) < 0) return -1L;
    if (sputnik::PowerLoss::watched != nullptr) sputnik::PowerLoss::watched->Synced(fd);
    return 0L;
  }));
}
int rename(const char* from, const char* to) noexcept(noexcept(::rename("", ""))) {
  return static_cast<int>(sputnik::OrFault([=] {
    const sputnik::Removal replaced(AT_FDCWD, to);
    const long result = replaced.After(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
    if (result == 0 && sputnik::PowerLoss::watched != nullptr) sputnik::PowerLoss::watched->Renamed(to);
    return result;
  }));
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  return static_cast<int>(sputnik::OrFault([=] { return syscall(SYS_renameat2, a, from, b, to, flags); }));
}
int mkdir(const char* path, mode_t mode) noexcept {
  return static_cast<int>(sputnik::OrFault([=] { return syscall(SYS_mkdirat, AT_FDCWD, path, mode); }));
}
int unlink(const char* path) noexcept {
  return static_cast<int>(sputnik::OrFault([=] {
    const sputnik::Removal removed(AT_FDCWD, path);
    return removed.After(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
  }));
}
int rmdir(const char* path) noexcept { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept(noexcept(::remove(""))) {
  struct stat status {};
  return unlinkat(AT_FDCWD, path, lstat(path, &status) == 0 && S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  return static_cast<int>(sputnik::OrFault([=] {
    const sputnik::Removal removed(folder, path);
    return removed.After(syscall(SYS_unlinkat, folder, path, flags));
  }));
}
}

namespace sputnik {
namespace {

namespace fs = std::filesystem;

class StateTest : public testing::Test {
 protected:
  StateTest() : decoder_(TinyConfig(), DType::kF32, true), optimizer_(decoder_.params(), {}) { SetWeights(1); }
  ~StateTest() override { fault = {}; }

  fs::path run() const { return folder_.path(); }
  fs::path Checkpoint(int64_t step) const { return run() / "checkpoints" / ("step-" + std::to_string(step)); }
  void SetWeights(int64_t step) { decoder_.params().Initialise(decoder_.config(), static_cast<uint64_t>(step)); }
  // A checkpoint whose weights tell which it is.
  fs::path Save(int64_t step, int64_t keep_last = 2, bool pinned = false, int64_t best_step = -1) {
    SetWeights(step);
    RunState state{.global_step = step, .stage = "sft", .stage_step = step, .best_step = best_step};
    const auto extra = [](const fs::path& folder) { WriteFileAtomically(folder / "tokenizer.json", "{}"); };
    return SaveCheckpoint(run(), state, decoder_, optimizer_, extra, {.keep_last = keep_last}, pinned);
  }
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(run() / "checkpoints")) names.insert(entry.path().filename());
    return names;
  }
  std::string Latest() const { return ReadFile(run() / "checkpoints" / "latest"); }
  void ExpectLoads(const fs::path& checkpoint) {
    VerifyCheckpoint(checkpoint);
    const std::unique_ptr<Decoder> loaded = LoadModel(checkpoint, false);
    SetWeights(ReadRunState(checkpoint).global_step);
    for (size_t p = 0; p < loaded->params().list().size(); ++p) {
      const std::span<float> a = loaded->params().list()[p].tensor.span<float>();
      const std::span<float> b = decoder_.params().list()[p].tensor.span<float>();
      ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << checkpoint;
    }
    optimizer_.Load(checkpoint / "trainer" / "optimizer.safetensors");
  }
  // Whatever happened: the newest checkpoint and the one that `latest` names are whole, one of `steps`.
  void ExpectSound(const std::set<int64_t>& steps) {
    const auto newest = NewestCheckpoint(run());
    ASSERT_TRUE(newest) << "nothing is left";
    EXPECT_TRUE(steps.contains(ReadRunState(*newest).global_step)) << *newest;
    ExpectLoads(*newest);
    std::string name = Latest();
    ASSERT_TRUE(name.ends_with('\n')) << name;
    name.pop_back();
    ASSERT_TRUE(fs::exists(run() / "checkpoints" / name)) << "latest names " << name << ", which is not there";
    ExpectLoads(run() / "checkpoints" / name);
  }

  void KillThroughout(int64_t stride);
  void RefuseThroughout(int64_t stride);

  TemporaryFolder folder_;
  Decoder decoder_;
  Optimizer optimizer_;
};

TEST_F(StateTest, EverythingComesBack) {
  RunState state{.global_step = 70,
                 .stage = "improve",
                 .stage_step = 20,
                 .stage_done = true,
                 .metrics_bytes = 12345,
                 .best_step = 60,
                 .numbers = {{"a", 1.0 / 3}, {"b", -1e-300}}};
  const fs::path path = SaveCheckpoint(run(), state, decoder_, optimizer_, {}, {}, false);
  EXPECT_EQ(path, Checkpoint(70));
  EXPECT_EQ(Latest(), "step-70\n");
  const RunState read = ReadRunState(path);
  EXPECT_EQ(read.global_step, 70);
  EXPECT_EQ(read.stage, "improve");
  EXPECT_EQ(read.stage_step, 20);
  EXPECT_TRUE(read.stage_done);
  EXPECT_EQ(read.metrics_bytes, 12345);
  EXPECT_EQ(read.best_step, 60);
  EXPECT_EQ(read.numbers, state.numbers);
  VerifyCheckpoint(path);
}

TEST_F(StateTest, KeepsTheLastAndThePinned) {
  Save(10, 2, true);
  for (const int64_t step : {20, 30, 40, 50}) Save(step);
  EXPECT_EQ(Names(), (std::set<std::string>{"latest", "step-10", "step-40", "step-50"}));
  Save(60, 1);
  EXPECT_EQ(Names(), (std::set<std::string>{"latest", "step-10", "step-60"}));
}

TEST_F(StateTest, KeepsTheBestWhileItIsTheBest) {
  const auto best = [&] { return ReadFile(run() / "checkpoints" / "best"); };
  Save(10, 1, false, 10);
  Save(20, 1, false, 10);
  Save(30, 1, false, 10);
  EXPECT_EQ(Names(), (std::set<std::string>{"best", "latest", "step-10", "step-30"}));
  EXPECT_EQ(best(), "step-10\n");
  Save(40, 1, false, 40);
  EXPECT_EQ(best(), "step-40\n");
  Save(50, 1, false, 40);
  EXPECT_EQ(Names(), (std::set<std::string>{"best", "latest", "step-40", "step-50"}));
  Save(60, 1, false, -1);  // another stage, which has not compared anything yet
  EXPECT_EQ(Names(), (std::set<std::string>{"latest", "step-60"}));
}

TEST_F(StateTest, ABrokenNewestIsPassedOver) {
  Save(10);
  const auto damage = [&](const char* file, auto&& how) {
    fs::remove_all(Checkpoint(20));
    Save(20);
    how(Checkpoint(20) / file);
    EXPECT_EQ(NewestCheckpoint(run()), Checkpoint(10)) << file;
    EXPECT_EQ(ResolveModelFolder(run()), Checkpoint(10)) << file;
    return ExpectError(ExitCode::kBadInput, [&] { VerifyCheckpoint(Checkpoint(20)); });
  };
  const auto truncate = [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) - 1); };
  const auto remove = [](const fs::path& path) { fs::remove(path); };
  const auto flip = [](const fs::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(fs::file_size(path) / 2));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(fs::file_size(path) / 2));
    file.put(byte);
  };
  for (const char* file :
       {"model.safetensors", "config.json", "tokenizer.json", "trainer/optimizer.safetensors", "trainer/state.json"}) {
    EXPECT_MENTIONS(damage(file, truncate), file);
    EXPECT_MENTIONS(damage(file, remove), file);
    EXPECT_MENTIONS(damage(file, flip), file);
  }
  damage("MANIFEST.json", [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) / 2); });
  damage("MANIFEST.json", remove);
  EXPECT_EQ(NewestCheckpoint(run()), Checkpoint(10));
  flip(Checkpoint(10) / "model.safetensors");
  EXPECT_EQ(NewestCheckpoint(run()), std::nullopt);
}

// A run that went on from before a broken checkpoint saves under lower numbers: these are not pushed out by it.
TEST_F(StateTest, ABrokenNewerOneDoesNotPushOutTheGood) {
  Save(10);
  Save(50);
  fs::resize_file(Checkpoint(50) / "model.safetensors", 10);
  Save(20, 1);
  EXPECT_EQ(NewestCheckpoint(run()), Checkpoint(20));
  Save(30, 1);
  EXPECT_EQ(NewestCheckpoint(run()), Checkpoint(30));
  Save(50, 1);  // and is replaced when the run gets there
  EXPECT_EQ(NewestCheckpoint(run()), Checkpoint(50));
}

TEST_F(StateTest, SweepingTakesTheLeftoversAlone) {
  Save(10);
  for (const char* name : {"step-20.tmp", "step-5.removed", "step-10.replaced"}) {
    fs::create_directories(run() / "checkpoints" / name / "trainer");
    std::ofstream(run() / "checkpoints" / name / "config.json") << "{";
  }
  SweepTemporaries(run());
  EXPECT_EQ(Names(), (std::set<std::string>{"latest", "step-10"}));
  // Killed between the two renames of a file system that cannot exchange names: the old one goes back.
  fs::rename(Checkpoint(10), Checkpoint(10).string() + ".replaced");
  SweepTemporaries(run());
  ExpectSound({10});
}

// The process dies within each change of the disk that a save makes, one after the other, or every `stride`-th.
void StateTest::KillThroughout(int64_t stride) {
  // A new step, which pushes out the older one; and the newest step saved again.
  for (const int64_t step : {2, 1}) {
    int64_t changes = 0;
    for (bool finished = false; !finished;) {
      changes += stride;
      fs::remove_all(run() / "checkpoints");
      Save(1, 1, false, 1);
      const pid_t child = ::fork();
      if (child == 0) {
        fault = {Fault::kKill, changes, 0};
        try {
          Save(step, 1, false, step);
        } catch (...) {
          ::_exit(1);
        }
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      finished = WIFEXITED(status);
      if (finished) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
      }
      ExpectSound({1, step});
      SweepTemporaries(run());
      ExpectSound({1, step});
      for (const std::string& name : Names()) {
        EXPECT_TRUE(name == "latest" || name == "best" || name.starts_with("step-")) << name;
        EXPECT_EQ(name.find('.'), name.npos) << name << " was not swept";
      }
      Save(3, 1);  // and the run goes on
      ExpectSound({3});
      ASSERT_FALSE(HasFailure()) << "killed in change " << changes << " of saving step " << step;
    }
    EXPECT_GT(changes, 25) << "the faults did not reach the save";
  }
}

class StateSlow : public StateTest {};
TEST_F(StateTest, AKillInASaveLeavesAWholeCheckpoint) { KillThroughout(9); }
TEST_F(StateSlow, AKillAnywhereInASaveLeavesAWholeCheckpoint) { KillThroughout(1); }

// The disk refuses each change of a save: a clear error, and what was there stays. Then it has room again.
void StateTest::RefuseThroughout(int64_t stride) {
  for (const int error : {ENOSPC, EIO}) {
    int64_t changes = 0;
    bool struck = true;
    while (struck) {
      changes += stride;
      fs::remove_all(run() / "checkpoints");
      Save(1, 1);
      fault = {Fault::kRefuse, changes, error};
      std::string message;
      try {
        Save(2, 1);
      } catch (const Error& e) {
        message = e.what();
        EXPECT_EQ(e.code(), ExitCode::kFailure) << message;
        EXPECT_MENTIONS(message, run().string());
        EXPECT_MENTIONS(message, std::string(std::strerror(error)));
      }
      struck = fault.countdown <= 0;
      fault = {};
      EXPECT_EQ(message.empty(), !struck) << "a refused change was not noticed";
      ExpectSound({1, 2});
      EXPECT_FALSE(fs::exists(Checkpoint(2).string() + ".tmp"));
      Save(3, 1);
      ExpectSound({3});
      ASSERT_FALSE(HasFailure()) << "refused change " << changes << ", " << std::strerror(error) << ": " << message;
    }
    EXPECT_GT(changes, 25);
  }
}

TEST_F(StateTest, ARefusingDiskLeavesTheOldCheckpoint) { RefuseThroughout(8); }
TEST_F(StateSlow, ADiskThatRefusesAnywhereLeavesTheOldCheckpoint) { RefuseThroughout(1); }

// A limit on the size of files, as a quota sets it, by the system itself.
TEST_F(StateTest, AFileThatMayGrowNoFurtherIsNamed) {
  Save(1);
  for (const rlim_t limit : {rlim_t{10}, rlim_t{3000}, rlim_t{100000}}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit size{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &size);
      try {
        Save(2);
      } catch (const Error& e) {
        ::_exit(std::string(e.what()).find("cannot write") != std::string::npos ? 42 : 1);
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
    EXPECT_EQ(Names(), (std::set<std::string>{"latest", "step-1"}));
    ExpectSound({1});
  }
}

TEST_F(StateTest, AFolderThatCannotBeWrittenIsNamed) {
  std::ofstream(run() / "checkpoints") << "in the way";
  const std::string message = ExpectError(ExitCode::kFailure, [&] { Save(1); });
  EXPECT_MENTIONS(message, (run() / "checkpoints").string());
}

TEST_F(StateTest, ResolvesRunFoldersAndModelFolders) {
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ResolveModelFolder(run() / "gone"); }), "no such folder");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ResolveModelFolder(run()); }), "config.json");
  fs::create_directory(run() / "checkpoints");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ResolveModelFolder(run()); }), "no complete checkpoint");
  Save(9);
  Save(10);
  EXPECT_EQ(ResolveModelFolder(run()), Checkpoint(10));
  EXPECT_EQ(ResolveModelFolder(Checkpoint(9)), Checkpoint(9));
}

TEST_F(StateTest, AStateOfAnotherShapeIsRefused) {
  Save(1);
  for (const char* text : {"{}", R"({"format": 2})", "[1]", R"({"format": 1, "global_step": "one"})"}) {
    WriteFileAtomically(Checkpoint(1) / "trainer" / "state.json", text);
    EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadRunState(Checkpoint(1)); }), "state.json");
  }
}

}  // namespace
}  // namespace sputnik
