// One program at a time on a file that is worked on over more than one write.
#pragma once

#include <filesystem>

namespace dhsa {

// Held from construction to destruction. A hidden file beside `path` tells other programs, and other holders in this
// one; it does not outlive its holder, and one that a killed program left is taken over.
class FileLock {
 public:
  FileLock() = default;
  // Throws Error that names the process where `path` is held already. Holds nothing where `path` is no regular file, or
  // where the file system knows no locks.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  std::filesystem::path beside_;
  int descriptor_ = -1;
};

}  // namespace dhsa
