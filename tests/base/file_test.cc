#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

// Runs `action` in another process and returns its wait status.
int InChild(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// A limit on the size of files is the nearest thing to a full disk that a test can make without mounting one.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit small{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST(File, WritesAndReadsBack) {
  const TemporaryFolder folder;
  const std::string contents("two\nlines\0 and a zero", 21);
  WriteFileAtomically(folder / "a", contents);
  EXPECT_EQ(ReadFile(folder / "a"), contents);
  WriteFileAtomically(folder / "a", "");
  EXPECT_EQ(ReadFile(folder / "a"), "");
  EXPECT_EQ(NamesIn(folder.path()), std::vector<std::string>{"a"}) << "no temporary file stays";
}

TEST(File, ReadingWhatIsNotAFileNamesIt) {
  const TemporaryFolder folder;
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadFile(folder / "none"); }), "none: cannot open: No such");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadFile(folder.path()); }),
                  "not a regular file but a folder");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadFile(folder / "pipe"); }), "not a regular file");
  EXPECT_MENTIONS(ExpectError(ExitCode::kBadInput, [&] { ReadFile("/dev/zero"); }), "not a regular file");
}

TEST(File, LargeAndSmallPiecesArriveInOrder) {
  const TemporaryFolder folder;
  std::string all;
  {
    AtomicFileWriter writer(folder / "a");
    for (const size_t size : {1u, 1000u, 1u << 20, 5u, (1u << 20) - 7, 3u << 20, 0u, 17u}) {
      std::string piece(size, ' ');
      for (size_t i = 0; i < size; ++i) piece[i] = static_cast<char>(all.size() + i * 7);
      writer.Write(piece.data(), piece.size());
      all += piece;
    }
    EXPECT_FALSE(fs::exists(folder / "a")) << "not visible before Commit";
    writer.Commit();
  }
  EXPECT_TRUE(ReadFile(folder / "a") == all);
}

TEST(File, BytesWrittenEarlierCanBeReplaced) {
  const TemporaryFolder folder;
  AtomicFileWriter writer(folder / "a");
  writer.Write("________", 8);
  const std::string large(3 << 20, 'x');
  writer.Write(large.data(), large.size());
  writer.Overwrite(2, "1234", 4);
  writer.Write("tail", 4);
  writer.Overwrite(0, "ab", 2);
  writer.Commit();
  EXPECT_TRUE(ReadFile(folder / "a") == "ab1234__" + large + "tail");
}

TEST(File, AWriterThatIsDroppedLeavesNoTrace) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", "old");
  { AtomicFileWriter(folder / "a").Write("new", 3); }
  EXPECT_EQ(ReadFile(folder / "a"), "old");
  EXPECT_EQ(NamesIn(folder.path()).size(), 1u);
}

TEST(File, AKilledWriterLeavesTheOldFile) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", "old");
  const int status = InChild([&]() -> int {
    AtomicFileWriter writer(folder / "a");
    const std::string piece(3 << 20, 'n');
    writer.Write(piece.data(), piece.size());
    ::raise(SIGKILL);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(ReadFile(folder / "a"), "old");
  WriteFileAtomically(folder / "a", "new");  // over the leftover temporary file
  EXPECT_EQ(ReadFile(folder / "a"), "new");
  EXPECT_EQ(NamesIn(folder.path()).size(), 1u);
}

TEST(File, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", "old");
  {
    const SmallFiles limit(100'000);
    const std::string piece(150'000, 'n');
    const std::string message = ExpectError(ExitCode::kFailure, [&] { WriteFileAtomically(folder / "a", piece); });
    EXPECT_MENTIONS(message, "a.tmp: cannot write: ");
  }
  EXPECT_EQ(ReadFile(folder / "a"), "old");
  EXPECT_EQ(NamesIn(folder.path()).size(), 1u);
}

TEST(File, NoSpaceSaysWhatToDo) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  LineAppender log("/dev/full");
  const std::string message = ExpectError(ExitCode::kFailure, [&] { log.Append("line"); });
  EXPECT_MENTIONS(message, "/dev/full: cannot write: No space left");
  EXPECT_MENTIONS(message, "free some space");
  EXPECT_EQ(log.bytes(), 0);
}

TEST(File, AReadOnlyFolderIsAnErrorThatNamesIt) {
  // Root may write everywhere, but nobody can create a file in /proc.
  const fs::path path = "/proc/sputnik_test";
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { WriteFileAtomically(path, "x"); }), "/proc/sputnik_test.tmp");
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { LineAppender log(path); }), "cannot open for appending");
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { FolderLock lock("/proc"); }), "/proc/.lock");
  if (::geteuid() != 0) {
    const TemporaryFolder folder;
    fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { WriteFileAtomically(folder / "a", "x"); }), "Permission");
    fs::permissions(folder.path(), fs::perms::owner_all);
  }
}

TEST(File, RenamingOverAFolderFailsCleanly) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { WriteFileAtomically(folder / "a", "x"); }), "cannot rename");
  EXPECT_EQ(NamesIn(folder.path()), std::vector<std::string>{"a"});
}

TEST(LineAppender, AppendsAndCounts) {
  const TemporaryFolder folder;
  {
    LineAppender log(folder / "log");
    log.Append("one");
    log.Append("");
    log.Sync();
    EXPECT_EQ(log.bytes(), 5);
  }
  LineAppender log(folder / "log");
  EXPECT_EQ(log.bytes(), 5);
  log.Append("two");
  EXPECT_EQ(ReadFile(folder / "log"), "one\n\ntwo\n");
}

TEST(LineAppender, KeepsOnlyTheAskedBytes) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "log", "step 1\nstep 2\nstep 3\n");
  LineAppender(folder / "log", 14).Append("step 2b");
  EXPECT_EQ(ReadFile(folder / "log"), "step 1\nstep 2\nstep 2b\n");
  EXPECT_EQ(LineAppender(folder / "log", 1000).bytes(), 22) << "a shorter file stays";
  EXPECT_EQ(LineAppender(folder / "log", 0).bytes(), 0);
  EXPECT_EQ(ReadFile(folder / "log"), "");
}

TEST(LineAppender, CutsOffHalfALine) {
  const TemporaryFolder folder;
  for (const size_t length : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{20'000}}) {
    WriteFileAtomically(folder / "log", "whole\n" + std::string(length, 'h'));
    LineAppender(folder / "log").Append("next");
    EXPECT_EQ(ReadFile(folder / "log"), "whole\nnext\n") << length;
  }
  WriteFileAtomically(folder / "log", "never ended");
  EXPECT_EQ(LineAppender(folder / "log").bytes(), 0);
}

TEST(LineAppender, AFullDiskLeavesWholeLines) {
  const TemporaryFolder folder;
  LineAppender log(folder / "log");
  log.Append(std::string(60, 'a'));
  {
    const SmallFiles limit(100);
    ExpectError(ExitCode::kFailure, [&] { log.Append(std::string(60, 'b')); });
  }
  log.Append("c");
  EXPECT_EQ(ReadFile(folder / "log"), std::string(60, 'a') + "\nc\n");
}

TEST(MappedFile, MovesAndUnmaps) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", "abc");
  WriteFileAtomically(folder / "empty", "");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
  MappedFile first(folder / "a");
  MappedFile second(std::move(first));
  EXPECT_TRUE(first.bytes().empty());  // NOLINT: a moved-from file is empty
  MappedFile third(folder / "empty");
  third = std::move(second);
  ASSERT_EQ(third.bytes().size(), 3u);
  EXPECT_EQ(third.bytes()[2], std::byte{'c'});
}

TEST(Sync, FilesAndFolders) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", "abc");
  SyncFile(folder / "a");
  SyncDirectory(folder.path());
  SyncDirectory("");
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { SyncFile(folder / "none"); }), "none: cannot open");
  EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { SyncDirectory(folder / "a"); }), "cannot open the directory");
}

TEST(FolderLock, KeepsASecondProcessOutAndNamesTheFirst) {
  const TemporaryFolder folder;
  const auto try_lock = [&]() -> int {
    try {
      const FolderLock lock(folder.path());
      return 0;
    } catch (const Error& e) {
      const std::string message = e.what();
      const bool names_us = message.find("(process " + std::to_string(::getppid()) + ")") != std::string::npos;
      return names_us && e.code() == ExitCode::kUsage ? 7 : 8;
    }
  };
  {
    const FolderLock lock(folder.path());
    EXPECT_EQ(WEXITSTATUS(InChild(try_lock)), 7);
    EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { FolderLock second(folder.path()); }), "give another one");
  }
  EXPECT_EQ(WEXITSTATUS(InChild(try_lock)), 0) << "free again";
}

TEST(FolderLock, DiesWithItsProcess) {
  const TemporaryFolder folder;
  const int status = InChild([&]() -> int {
    const FolderLock lock(folder.path());
    ::raise(SIGKILL);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  const FolderLock lock(folder.path());
}

TEST(CreateFolders, MakesWhatIsMissingAndNamesWhatCannotBe) {
  const TemporaryFolder folder;
  CreateFolders(folder / "a/b/c");
  CreateFolders(folder / "a/b/c");
  CreateFolders(folder / "a/d/");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/d"));
  WriteFileAtomically(folder / "file", "x");
  for (const char* path : {"file", "file/below"}) {
    EXPECT_MENTIONS(ExpectError(ExitCode::kFailure, [&] { CreateFolders(folder / path); }), path);
  }
}

}  // namespace
}  // namespace sputnik
