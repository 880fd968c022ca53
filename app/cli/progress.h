// One line on standard error that says what is being done, how far it is and how long it will take.
#pragma once

#include <chrono>
#include <string>

#include "core/base/error.h"
#include "core/run/run.h"

namespace dhsa::cli {

// To standard error; where that cannot be written nobody hears it, and the work goes on.
void say(const std::string& text);

enum class ProgressStyle { kNone, kPlainLines, kTerminal };

// Rewritten in place on a terminal; with plain lines, one line whenever the text changes or 10 % are done.
class ProgressLine {
 public:
  explicit ProgressLine(ProgressStyle style) : style_(style), began_(std::chrono::steady_clock::now()) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void restart() { began_ = std::chrono::steady_clock::now(); }  // what went before does not count for the estimate
  void show(const std::string& what, double fraction);           // fraction < 0: not known
  void show(const CompareProgress& progress);
  void clear();  // before anything else is printed

 private:
  ProgressStyle style_;
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point shown_;
  std::string what_;
  int tenth_ = -1;
  bool on_screen_ = false;
};

// Cancelled by SIGINT (once; a second one ends the program as usual).
[[nodiscard]] CancelToken& interrupt();
void watch_interrupt();

}  // namespace dhsa::cli
