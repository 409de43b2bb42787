// Text to learn from: files and folders, one document after another, read without holding a corpus in memory.
//   .jsonl       one {"text": "..."} per line, each a document
//   other files  the whole file is a document, or with `percent_separated` each part between lines that hold only "%"
//                (the format of the fortune program)
// A folder stands for its files in sorted order, sub-folders included: names ending in .txt or .jsonl or without any
// extension; hidden files, other extensions and links to files of the same folder are left out.
// Documents are UTF-8. Empty ones are skipped. A byte order mark at a file's start is dropped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "text/chat.h"

namespace sputnik {

struct SourceOptions {
  bool percent_separated = false;
  int64_t max_line_bytes = int64_t{64} << 20;  // a longer line is taken for a broken file
};

// The files that `inputs` stand for, in reading order. Errors (bad input): a missing path, a folder without text files.
std::vector<std::filesystem::path> ListTextFiles(const std::vector<std::filesystem::path>& inputs);

// Calls fn for every document in order; the text is valid during the call only. Errors (bad input), each naming the
// file: those of ListTextFiles; a binary file (it has a zero byte) or invalid UTF-8, with the byte offset; a line over
// the limit or a broken JSONL line, with the line's number and what was expected; no document in all the inputs
// together.
void ForEachDocument(const std::vector<std::filesystem::path>& inputs, const SourceOptions& options,
                     FunctionRef<void(std::string_view document)> fn);
void ForEachDocument(const std::vector<std::filesystem::path>& inputs, FunctionRef<void(std::string_view document)> fn);

// Conversations to imitate: JSONL with {"messages": [{"role": ..., "content": ...}, ...]}. An optional system message
// comes first, then user and assistant take turns, and the assistant has the last word. Errors (bad input) name file,
// line and message: another role, roles out of order, a missing or non-string content, no conversation at all.
std::vector<std::vector<Message>> ReadConversations(const std::filesystem::path& path);

// The number of leading bytes of `text` that are valid UTF-8: text.size() when all are.
size_t ValidUtf8Bytes(std::string_view text);

}  // namespace sputnik
