#include "app/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace dhsa::cli {
namespace {

CancelToken interrupt_token;

// No more precise than an estimate is.
std::string seconds_left(double value) {
  const auto whole = static_cast<std::int64_t>(std::ceil(value));
  return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

extern "C" void on_interrupt(int /*signal*/) { interrupt_token.cancel(); }

}  // namespace

void say(const std::string& text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
  std::fflush(stderr);
}

CancelToken& interrupt() { return interrupt_token; }

void watch_interrupt() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: a read from the keyboard returns at once
  sigaction(SIGINT, &action, nullptr);
}

void ProgressLine::show(const std::string& what, double fraction) {
  if (style_ == ProgressStyle::kNone) return;
  const auto now = std::chrono::steady_clock::now();
  const double elapsed = std::chrono::duration<double>(now - began_).count();
  std::string line = what;
  if (fraction >= 0) {
    line += fmt::format("  {:3.0f} %", 100 * fraction);
    if (fraction > 0.02 && elapsed > 0.5) {
      line += fmt::format("  about {} left", seconds_left(elapsed * (1 - fraction) / fraction));
    }
  }
  if (style_ == ProgressStyle::kTerminal) {
    // Ten times a second is as much as one reads.
    if (on_screen_ && now - shown_ < std::chrono::milliseconds(100)) return;
    say(fmt::format("\r{}\033[K", line));
    on_screen_ = true;
    shown_ = now;
  } else {
    const int tenth = fraction < 0 ? -1 : static_cast<int>(10 * fraction);
    if (what == what_ && tenth == tenth_) return;
    what_ = what;
    tenth_ = tenth;
    say(fmt::format("{}\n", line));
  }
}

void ProgressLine::show(const CompareProgress& progress) {
  using Phase = CompareProgress::Phase;
  std::string what;
  if (progress.runs > 1) what = fmt::format("[{}/{}] ", progress.run + 1, progress.runs);
  switch (progress.phase) {
    case Phase::kPrefill:
      what += progress.layer < 0 || style_ == ProgressStyle::kPlainLines
                  ? fmt::format("{} prefill", progress.name)
                  : fmt::format("{} prefill, layer {} of {}, {}", progress.name, progress.layer + 1, progress.layers,
                                name_of(progress.stage));
      break;
    case Phase::kLogits:
      what += fmt::format("{} logits against dense", progress.name);
      break;
    case Phase::kAnswer:
      what += fmt::format("{} answer", progress.name);
      break;
  }
  show(what, progress.fraction);
}

void ProgressLine::clear() {
  if (!on_screen_) return;
  say("\r\033[K");
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace dhsa::cli
