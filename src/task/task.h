// A task: problems, mostly without end, whose answers can be checked by a program, for reinforcement learning with
// verifiable rewards (DeepSeek-R1, arXiv 2501.12948). All functions are pure and safe to call from several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat.h"

namespace sputnik {

struct Problem {
  std::string prompt;
  std::string answer;  // what a perfect assistant would write, reasoning included
  int64_t level = 0;   // length or difficulty
};

struct RewardPart {
  std::string name;
  double value;  // before weighting, 0 to 1
};

struct Score {
  double reward = 0;     // 0 to 1
  bool correct = false;  // the answer is right, whatever its form
  std::vector<RewardPart> parts;
};

// Which side of the fixed division of all operands a problem is drawn from. The sides never share operands, whatever
// the seed: about a tenth is held out.
enum class Split { kTrain, kHeldOut };

struct LevelRange {
  int64_t lowest;
  int64_t highest;
};

class Task {
 public:
  virtual ~Task() = default;

  virtual std::string name() const = 0;
  virtual LevelRange levels() const = 0;

  // How many problems there are, where they come from a list: the first so many indices of a stream give each once, and
  // then they come again. Nothing: problems are made up without end.
  virtual std::optional<int64_t> Count(int64_t, Split) const { return std::nullopt; }

  // The `index`-th problem of a stream. A pure function of its arguments. Error (usage) for a level out of range.
  virtual Problem Make(uint64_t seed, int64_t level, uint64_t index, Split split) const = 0;

  // Scores a completion: the text that followed the prompt, without the end-of-sentence token. Any bytes are accepted,
  // in time linear in their number.
  virtual Score Grade(const Problem& problem, std::string_view completion) const = 0;

  // The problem as a conversation: the user's prompt, and with `with_answer` the assistant's answer to imitate.
  virtual std::vector<Message> Conversation(const Problem& problem, bool with_answer) const;
};

// The side on which operands with this hash fall.
Split SplitOf(uint64_t operands_hash);

// Throws Error (usage) naming the task when `level` is out of its range.
void CheckLevel(const Task& task, int64_t level);

// Without leading and trailing spaces, tabs and line breaks.
std::string_view Trim(std::string_view text);

// The score of an exact check: reward 1 or 0, one part "accuracy".
Score AccuracyScore(bool correct);

}  // namespace sputnik
