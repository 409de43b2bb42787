// A polite stop: the first SIGINT or SIGTERM only sets a flag, which loops read between steps to save and leave; the
// second one ends the process at once with exit code 130.
#pragma once

namespace sputnik {

// Takes over SIGINT and SIGTERM for the whole process, and says on standard error that it heard the first one.
// Interrupted reads and writes of files go on by themselves; poll() and sleeps return early with EINTR, so a wait for
// input must be a poll() to notice a stop.
void InstallStopSignals();

// Takes over SIGINT alone, and says nothing: for a chat, where Ctrl-C stops one answer and nothing is there to be
// saved.
void InstallInterruptSignal();

// True once one of the signals has come. Cheap; from any thread.
bool StopRequested();

// Forgets the request, for a caller that has answered it (a chat that stopped one reply and goes on).
void ClearStopRequest();

}  // namespace sputnik
