// Errors a person can act on, and cancellation of long work.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace dhsa {

// Bad input (file, parameter, document, device). what() is one clear sentence: what, where, what to do.
// The command line prints it and exits with 2; the window shows it in its message bar.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& sentence) : std::runtime_error(sentence) {}
};

// Thrown out of long work after CancelToken::cancel(). Not a fault: the previous result stays in place.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("Cancelled.") {}
};

// Shared by the thread that works and the one that may cancel it.
class CancelToken {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  // Throws Cancelled once cancel() was called.
  void check() const {
    if (cancelled()) throw Cancelled();
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace dhsa
