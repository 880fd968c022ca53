// A disk that fails in a folder, or a process that is killed there: what is left of the files?
#pragma once

#include <filesystem>

namespace dhsa::test {

enum class Fault {
  kFull,   // "No space left on device" from then on; a write still takes half of what it is given
  kKilled  // SIGKILL, in a write after half of it
};

// While it lives, the `at`-th call (from 1) of this process or of one that it forks that creates, writes, flushes or
// renames a file in `folder` meets the fault. Needs faulty_disk.cpp in the program, whose calls are taken in place of
// the C library's.
class FaultyDisk {
 public:
  FaultyDisk(const std::filesystem::path& folder, Fault fault, int at);
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;
  [[nodiscard]] bool met() const;  // so many calls were made
};

}  // namespace dhsa::test
