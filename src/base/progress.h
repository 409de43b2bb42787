// How far a long task is, for a person who watches: on a terminal one line that is redrawn, elsewhere (a file, a pipe)
// a plain line now and then. It goes to standard error; what must be kept belongs into a log or a metrics file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sputnik {

struct ProgressStyle {
  int fd = 2;
  bool terminal = false;  // redraw one line, at most ten times a second
  bool color = false;
  double interval = 10;  // seconds between plain lines
  int columns = 0;       // a terminal line is cut to this; 0: ask the terminal
};

// Of standard error: a terminal unless TERM is dumb; colour unless NO_COLOR is set.
ProgressStyle StderrProgressStyle();

class Progress {
 public:
  // `total` steps in all, or 0 if that is not known. A resumed task starts at `first_step`, so that the time left is
  // reckoned from the steps done here.
  Progress(std::string label, int64_t total, int64_t first_step = 0,
           const ProgressStyle& style = StderrProgressStyle());
  ~Progress();  // Finish()
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The task ends in so many seconds at the latest, whatever steps are left then: the time left is the smaller of the
  // two. Each call replaces what the one before said.
  void EndsWithin(double seconds);

  // `step` steps are done; `text` says what is worth knowing (loss, tokens per second). Cheap when nothing is drawn.
  void Update(int64_t step, std::string_view text);

  // Shows the last update if it has not been shown, and ends the line. Nothing if there was no update.
  void Finish();

 private:
  void Show(double now);

  std::string label_, text_;
  int64_t total_, first_step_, step_;
  ProgressStyle style_;
  double started_, next_;  // when a line may be shown again
  double deadline_;        // by the same clock; infinite: none
  bool pending_ = false;   // the last update has not been shown
  bool open_ = false;      // the terminal's cursor stands behind our line
};

// "120/2000  6%  loss 3.2  1:05 left"; seconds_left below 0: not known.
std::string ProgressText(int64_t step, int64_t total, std::string_view text, double seconds_left);

// The longest prefix of UTF-8 `text` with at most `columns` characters.
std::string_view CutToColumns(std::string_view text, int columns);

}  // namespace sputnik
