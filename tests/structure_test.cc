// The rules of the house, read from docs/floors.txt and held against every file: includes go down, every room has its
// test, no file passes the wall, the documents name only what is there, and nothing names the machine it was written
// on. The checks are functions of a root folder, so that each is also shown a small tree that breaks it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

using Findings = std::vector<std::string>;  // "file:line: what is wrong"

struct Floors {
  std::map<std::string, std::set<std::string>> may_include;  // folder -> folders and single headers
  std::map<std::string, int> line;                           // of each folder in docs/floors.txt
  std::map<std::string, int> untested;                       // a room without a test, and its line
};

std::vector<std::string> LinesOf(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string At(const std::string& file, size_t line) { return file + ":" + std::to_string(line) + ": "; }

Floors ReadFloors(const fs::path& root, Findings& findings) {
  Floors floors;
  const std::vector<std::string> lines = LinesOf(root / "docs/floors.txt");
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    const auto words = Words(line.substr(0, colon));
    const bool untested = words.size() == 2 && words[0] == "untested";
    if (colon == line.npos || (!untested && words.size() != 1)) {
      findings.push_back(At("docs/floors.txt", i + 1) + "expected `folder: folders` or `untested room: reason`");
      continue;
    }
    const auto rest = Words(line.substr(colon + 1));
    if (untested) {
      floors.untested[words[1]] = static_cast<int>(i + 1);
      if (rest.empty()) findings.push_back(At("docs/floors.txt", i + 1) + words[1] + " lacks its reason");
      if (!fs::exists(root / "src" / words[1])) {
        findings.push_back(At("docs/floors.txt", i + 1) + words[1] + " is gone; take out its line");
      }
    } else {
      floors.may_include[words[0]] = {rest.begin(), rest.end()};
      floors.line[words[0]] = static_cast<int>(i + 1);
    }
  }
  return floors;
}

bool IsSource(const fs::path& path) { return path.extension() == ".h" || path.extension() == ".cc"; }

// Files below root/top, as sorted paths from the root.
std::vector<std::string> FilesBelow(const fs::path& root, const std::string& top) {
  std::vector<std::string> files;
  if (!fs::exists(root / top)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(root).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// "src/kernel/cpu/linear.cc" -> "kernel/cpu"
std::string FolderOf(const std::string& file) {
  return fs::path(file).lexically_relative("src").parent_path().string();
}

// The floors themselves: what a folder lists must exist, and no chain of whole folders may lead back to its start.
void CheckTable(const Floors& floors, Findings& findings) {
  for (const auto& [folder, allowed] : floors.may_include) {
    const std::string at = At("docs/floors.txt", static_cast<size_t>(floors.line.at(folder)));
    std::set<std::string> reached;
    std::vector<std::string> open(allowed.begin(), allowed.end());
    while (!open.empty()) {
      const std::string next = open.back();
      open.pop_back();
      if (next.ends_with(".h") || !reached.insert(next).second) continue;
      if (!floors.may_include.contains(next)) {
        findings.push_back(at + folder + " lists " + next + ", which is no folder of this table");
        continue;
      }
      const auto& more = floors.may_include.at(next);
      open.insert(open.end(), more.begin(), more.end());
    }
    if (reached.contains(folder)) findings.push_back(at + folder + " can reach itself: includes must only go down");
  }
}

// Other people's libraries that only one folder, and the folders inside it, may see.
const std::map<std::string, std::string> kLibraryOwners{{"CLI/", "app"},      {"hwy/", "kernel"},  {"pcre2", "text"},
                                                        {"unicode/", "text"}, {"toml++/", "base"}, {"spdlog/", "base"},
                                                        {"openssl/", "base"}};

void CheckIncludes(const fs::path& root, const Floors& floors, Findings& findings) {
  for (const std::string& file : FilesBelow(root, "src")) {
    if (!IsSource(file)) continue;
    const std::string folder = FolderOf(file);
    if (!floors.may_include.contains(folder)) {
      findings.push_back(At(file, 1) + "the folder " + folder + " has no line in docs/floors.txt");
      continue;
    }
    const auto& allowed = floors.may_include.at(folder);
    const std::vector<std::string> lines = LinesOf(root / file);
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto words = Words(lines[i]);
      if (words.size() < 2 || words[0] != "#include") continue;
      const std::string header = words[1].substr(1, words[1].find_last_of("\">") - 1);
      const auto owner = std::find_if(kLibraryOwners.begin(), kLibraryOwners.end(),
                                      [&](const auto& library) { return header.starts_with(library.first); });
      if (owner != kLibraryOwners.end()) {
        if (folder != owner->second && !folder.starts_with(owner->second + "/")) {
          findings.push_back(At(file, i + 1) + header + " is for " + owner->second + " alone");
        }
        continue;
      }
      if (words[1][0] != '"') continue;
      const std::string target = fs::path(header).parent_path().string();
      if (!fs::exists(root / "src" / header)) {
        findings.push_back(At(file, i + 1) + header + " is not a file below src");
      } else if (target != folder && !allowed.contains(target) && !allowed.contains(header)) {
        findings.push_back(At(file, i + 1) + folder + " may not include " + header);
      }
    }
  }
}

// The rooms of kernel/reference and kernel/cpu share one test per name, tests/kernel/NAME_test.cc.
void CheckTwins(const fs::path& root, const Floors& floors, Findings& findings) {
  std::map<std::string, std::string> rooms;  // the test's path -> a file of the room
  for (const std::string& file : FilesBelow(root, "src")) {
    if (!IsSource(file) || floors.untested.contains(fs::path(file).lexically_relative("src").string())) continue;
    std::string name = fs::path(file).stem().string();
    if (name.ends_with("-inl")) name.resize(name.size() - 4);
    std::string folder = FolderOf(file);
    if (folder.starts_with("kernel/")) folder = "kernel";
    rooms.emplace("tests/" + folder + "/" + name + "_test.cc", file);
  }
  for (const auto& [test, file] : rooms) {
    if (!fs::exists(root / test)) findings.push_back(At(file, 1) + "its test " + test + " is missing");
  }
}

void CheckLengths(const fs::path& root, Findings& findings) {
  for (const std::string& file : FilesBelow(root, "src")) {
    if (!IsSource(file)) continue;
    const std::string name = fs::path(file).filename().string();
    const bool large =
        FolderOf(file).starts_with("kernel") && (name.starts_with("linear") || name.starts_with("attention"));
    const size_t wall = large ? 700 : 450, lines = LinesOf(root / file).size();
    if (lines > wall) {
      findings.push_back(At(file, wall + 1) + std::to_string(lines) + " lines; the wall is " + std::to_string(wall));
    }
  }
}

// The folders that src/CMakeLists.txt links must be those of docs/floors.txt. A single header needs no library.
void CheckLinks(const fs::path& root, const Floors& floors, Findings& findings) {
  const std::string file = "src/CMakeLists.txt";
  const std::vector<std::string> lines = LinesOf(root / file);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string call = "sputnik_folder(";
    if (!lines[i].starts_with(call)) continue;
    std::string text = lines[i].substr(call.size());
    for (size_t next = i + 1; text.find(')') == text.npos && next < lines.size(); ++next) text += " " + lines[next];
    const auto words = Words(text.substr(0, text.find(')')));
    const std::string folder = words.empty() ? "" : words[0];
    std::set<std::string> linked;
    bool in_links = false;
    for (const std::string& word : words) {
      if (word == "LINKS" || word == "LIBRARIES" || word == "PUBLIC_LIBRARIES") {
        in_links = word == "LINKS";
      } else if (in_links) {
        linked.insert(word);
      }
    }
    if (!floors.may_include.contains(folder)) {
      findings.push_back(At(file, i + 1) + folder + " has no line in docs/floors.txt");
      continue;
    }
    std::set<std::string> may_link, must_link;
    for (const std::string& entry : floors.may_include.at(folder)) {
      const bool header = entry.ends_with(".h");
      may_link.insert(header ? fs::path(entry).parent_path().string() : entry);
      if (!header) must_link.insert(entry);
    }
    for (const std::string& name : linked) {
      if (!may_link.contains(name)) findings.push_back(At(file, i + 1) + folder + " may not link " + name);
    }
    for (const std::string& name : must_link) {
      if (!linked.contains(name)) findings.push_back(At(file, i + 1) + folder + " does not link " + name);
    }
  }
}

// What stands in single backticks.
std::vector<std::string> CodeSpans(const std::string& line) {
  std::vector<std::string> spans;
  for (size_t open = line.find('`'); open != line.npos;) {
    const size_t close = line.find('`', open + 1);
    if (close == line.npos) break;
    spans.push_back(line.substr(open + 1, close - open - 1));
    open = line.find('`', close + 1);
  }
  return spans;
}

// A path of the repository (`src/base/file.h`, `docs/`) or of a room (`base/file`); other texts with a slash are
// neither.
bool NamesSomethingGone(const fs::path& root, const Floors& floors, std::string span) {
  if (span.find('/') == span.npos || span.find("//") != span.npos) return false;
  const auto odd = [](char c) {
    return !std::isalnum(static_cast<unsigned char>(c)) && std::string("_-./").find(c) == std::string::npos;
  };
  if (std::any_of(span.begin(), span.end(), odd)) return false;
  while (span.ends_with('/')) span.pop_back();
  const std::string top = *fs::path(span).begin();
  static const std::set<std::string> kTops{"src",   "tests", "docs",    "bench", "recipes",
                                           "tools", "cmake", "scripts", ".ci"};
  static const std::set<std::string> kMediaTypes{"text/html", "text/plain", "text/event-stream"};
  if (kTops.contains(top)) return !fs::exists(root / span);
  if (!floors.may_include.contains(top) || kMediaTypes.contains(span)) return false;
  const fs::path room = root / "src" / span;
  return !fs::exists(room) && !fs::exists(room.string() + ".h") && !fs::exists(room.string() + ".cc");
}

void CheckDocuments(const fs::path& root, const Floors& floors, Findings& findings) {
  std::vector<std::string> files = FilesBelow(root, "docs");
  files.insert(files.end(), {"README.md", "SECURITY.md"});
  for (const std::string& file : files) {
    if (!file.ends_with(".md")) continue;
    const std::vector<std::string> lines = LinesOf(root / file);
    for (size_t i = 0; i < lines.size(); ++i) {
      for (const std::string& span : CodeSpans(lines[i])) {
        if (NamesSomethingGone(root, floors, span)) findings.push_back(At(file, i + 1) + "`" + span + "` is not there");
      }
    }
  }
}

// Paths of somebody's machine have no place in files that others check out.
void CheckNoMachinePaths(const fs::path& root, Findings& findings) {
  // Written in two pieces, or this file would find itself.
  const std::vector<std::string> forbidden{
      "/wo"
      "rk/",
      "/ho"
      "me/",
      "/ro"
      "ot/",
      "/Us"
      "ers/"};
  // Not the project's: what is built, what has run, and tools' folders.
  const auto left_out = [](const std::string& top) {
    return top.starts_with("build") || top == "runs" || (top.starts_with('.') && top != ".ci");
  };
  constexpr uintmax_t kLargest = 4 << 20;  // larger files are data
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string file = it->path().lexically_relative(root).string();
    if (it.depth() == 0 && it->is_directory() && left_out(file)) it.disable_recursion_pending();
    if (file == ".git" || !it->is_regular_file() || it->is_symlink() || it->file_size() > kLargest) continue;
    const std::vector<std::string> lines = LinesOf(it->path());
    for (size_t i = 0; i < lines.size(); ++i) {
      for (const std::string& path : forbidden) {
        const size_t at = lines[i].find(path);
        // A web address or a longer path may hold such a piece further in.
        const bool starts_here =
            at == 0 || (at != lines[i].npos && !std::isalnum(static_cast<unsigned char>(lines[i][at - 1])) &&
                        std::string("_-./").find(lines[i][at - 1]) == std::string::npos);
        if (at != lines[i].npos && starts_here) findings.push_back(At(file, i + 1) + "a path of one machine: " + path);
      }
    }
  }
}

Findings CheckAll(const fs::path& root) {
  Findings findings;
  const Floors floors = ReadFloors(root, findings);
  CheckTable(floors, findings);
  CheckIncludes(root, floors, findings);
  CheckTwins(root, floors, findings);
  CheckLengths(root, findings);
  CheckLinks(root, floors, findings);
  CheckDocuments(root, floors, findings);
  CheckNoMachinePaths(root, findings);
  return findings;
}

std::string Joined(const Findings& findings) {
  std::string text;
  for (const std::string& finding : findings) text += finding + "\n";
  return text;
}

TEST(Structure, TheHouseKeepsItsRules) {
  const fs::path root = SPUTNIK_SOURCE_DIR;
  Findings none;
  EXPECT_GT(ReadFloors(root, none).may_include.size(), 5u) << "docs/floors.txt was not read";
  EXPECT_GT(FilesBelow(root, "src").size(), 10u);
  const Findings findings = CheckAll(root);
  EXPECT_TRUE(findings.empty()) << Joined(findings);
}

// A tree of two floors that keeps every rule; tests below break one each.
class BrokenHouse : public testing::Test {
 protected:
  BrokenHouse() {
    Write("docs/floors.txt",
          "# the table\nlow:\nkernel: low\nkernel/cpu: low/room.h kernel\nuntested kernel/list.h: constants\n");
    Write("src/CMakeLists.txt", "sputnik_folder(low LIBRARIES x)\nsputnik_folder(kernel LINKS low)\n");
    Write("src/low/room.h", "#include <vector>\n");
    Write("src/low/other.cc", "#include \"low/room.h\"\n");
    Write("src/kernel/list.h", "");
    Write("src/kernel/cpu/fast.cc", "#include \"low/room.h\"\n#include \"kernel/list.h\"\n");
    for (const char* test : {"low/room", "low/other", "kernel/fast"})
      Write(std::string("tests/") + test + "_test.cc", "");
    Write("docs/tour.md",
          "See `src/low/room.h`, `low/other`, `docs/`, `text/html`, `a/b`, `low/*.h` and `kernel/cpu`.\n");
    Write("README.md",
          "https://example.org/ho"
          "me/ is no path of a machine.\n");
  }
  void Write(const std::string& file, const std::string& text) {
    fs::create_directories((root_.path() / file).parent_path());
    std::ofstream(root_.path() / file) << text;
  }
  void Append(const std::string& file, const std::string& text) {
    std::ofstream(root_.path() / file, std::ios::app) << text;
  }
  void ExpectFinding(const std::string& expected) { EXPECT_EQ(Joined(CheckAll(root_.path())), expected + "\n"); }

  TemporaryFolder root_;
};

TEST_F(BrokenHouse, IsWholeAtFirst) { EXPECT_EQ(Joined(CheckAll(root_.path())), ""); }

TEST_F(BrokenHouse, IncludingUpwards) {
  Append("src/low/other.cc", "\n  # include <x>\n#include \"kernel/list.h\"  // why not\n");
  ExpectFinding("src/low/other.cc:4: low may not include kernel/list.h");
}

TEST_F(BrokenHouse, AnotherHeaderThanTheListedOne) {
  Write("src/low/hidden.h", "");
  Write("tests/low/hidden_test.cc", "");
  Append("src/kernel/cpu/fast.cc", "#include \"low/hidden.h\"\n");
  ExpectFinding("src/kernel/cpu/fast.cc:3: kernel/cpu may not include low/hidden.h");
}

TEST_F(BrokenHouse, ALibraryThatAnotherFolderOwns) {
  Append("src/kernel/cpu/fast.cc", "#include \"hwy/highway.h\"\n#include <CLI/CLI.hpp>\n");
  ExpectFinding("src/kernel/cpu/fast.cc:4: CLI/CLI.hpp is for app alone");
}

TEST_F(BrokenHouse, AnIncludeWithoutItsFolder) {
  Append("src/low/other.cc", "#include \"room.h\"\n");
  ExpectFinding("src/low/other.cc:2: room.h is not a file below src");
}

TEST_F(BrokenHouse, AFolderThatIsNotInTheTable) {
  Write("src/attic/room.cc", "");
  Write("tests/attic/room_test.cc", "");
  ExpectFinding("src/attic/room.cc:1: the folder attic has no line in docs/floors.txt");
}

TEST_F(BrokenHouse, ATableThatGoesRound) {
  Write("docs/floors.txt", "low: kernel\nkernel: low\nkernel/cpu: low kernel\nuntested kernel/list.h: constants\n");
  Write("src/CMakeLists.txt", "");
  ExpectFinding(
      "docs/floors.txt:2: kernel can reach itself: includes must only go down\n"
      "docs/floors.txt:1: low can reach itself: includes must only go down");
}

TEST_F(BrokenHouse, ARoomWithoutATest) {
  fs::remove(root_ / "tests/kernel/fast_test.cc");
  ExpectFinding("src/kernel/cpu/fast.cc:1: its test tests/kernel/fast_test.cc is missing");
}

TEST_F(BrokenHouse, AFileThatPassesTheWall) {
  std::string lines;
  for (int i = 0; i < 451; ++i) lines += "\n";
  Write("src/low/room.h", lines);
  ExpectFinding("src/low/room.h:451: 451 lines; the wall is 450");
}

TEST_F(BrokenHouse, LinksThatDifferFromTheTable) {
  Write("src/CMakeLists.txt", "sputnik_folder(low LIBRARIES x\n  LINKS kernel)\nsputnik_folder(kernel)\n");
  ExpectFinding(
      "src/CMakeLists.txt:1: low may not link kernel\n"
      "src/CMakeLists.txt:3: kernel does not link low");
}

TEST_F(BrokenHouse, DocumentsThatNameWhatIsGone) {
  Append("docs/tour.md", "text\n`src/low/gone.h` and `low/gone`, `scripts/setup.sh`\n");
  ExpectFinding(
      "docs/tour.md:3: `src/low/gone.h` is not there\n"
      "docs/tour.md:3: `low/gone` is not there\n"
      "docs/tour.md:3: `scripts/setup.sh` is not there");
}

TEST_F(BrokenHouse, PathsOfOneMachine) {
  Append("docs/tour.md",
         "cd /ho"
         "me/me/sputnik\n");
  ExpectFinding(
      "docs/tour.md:2: a path of one machine: /ho"
      "me/");
}

TEST_F(BrokenHouse, ExemptionsThatAreOutdated) {
  Append("docs/floors.txt", "untested low/gone.h: gone\nuntested low/room.h:\nnonsense\n");
  ExpectFinding(
      "docs/floors.txt:6: low/gone.h is gone; take out its line\n"
      "docs/floors.txt:7: low/room.h lacks its reason\n"
      "docs/floors.txt:8: expected `folder: folders` or `untested room: reason`");
}

}  // namespace
}  // namespace sputnik
