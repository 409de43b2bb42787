// Tokenizing speed of one thread, in processor time: loading, encoding documents that form feeds part, decoding, and
// ten million equal characters.
//   tokenizer_bench [MODEL [FILE]]    a folder with tokenizer.json, and text; both have small defaults
// tools/peer_tokenizer.py times the tokenizers library on the same text.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"

namespace {

using namespace sputnik;

// Of the processor, not of the clock on the wall: others may be using this machine.
double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <class Work>
double BestOf(int rounds, const Work& work) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const double start = Seconds();
    work();
    best = std::min(best, Seconds() - start);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string golden = SPUTNIK_SOURCE_DIR "/tests/golden/tokenizer";
  const std::string model = argc > 1 ? argv[1] : golden;
  std::string text = ReadFile(argc > 2 ? argv[2] : golden + "/corpus.txt");
  const std::string once = text + "\f";
  while (argc <= 2 && text.size() < 10'000'000) text += once;

  const double load = BestOf(3, [&] { Tokenizer::Load(model); });
  const Tokenizer tokenizer = Tokenizer::Load(model);
  std::vector<std::string_view> documents;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\f', at), text.size());
    documents.push_back(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  std::vector<std::vector<int32_t>> ids(documents.size());
  const double encode = BestOf(3, [&] {
    for (size_t i = 0; i < documents.size(); ++i) ids[i] = tokenizer.Encode(documents[i]);
  });
  size_t tokens = 0, decoded = 0;
  for (const auto& one : ids) tokens += one.size();
  const double decode = BestOf(3, [&] {
    for (const auto& one : ids) decoded += tokenizer.Decode(one).size();
  });
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf("load %.1f ms; %zu bytes, %zu tokens; encode %.3f s, %.1f MB/s; decode %.3f s, %.1f MB/s\n", load * 1e3,
              text.size(), tokens, encode, megabytes / encode, decode, megabytes / decode);
  for (const char* unit : {"a", " ", "\n", "1", "日", "\U0001F600"}) {
    const auto seconds = [&](int count) {
      std::string run;
      for (int i = 0; i < count; ++i) run += unit;
      return BestOf(1, [&] { tokens = tokenizer.Encode(run).size(); });
    };
    const double tenth = seconds(1'000'000), whole = seconds(10'000'000);
    std::printf("%s x 1e7: %.2f s, %.1f times 1e6\n", *unit == '\n' ? "\\n" : unit, whole, whole / tenth);
  }
  return decoded == 0;
}
