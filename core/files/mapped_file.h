// A whole file in memory, read-only, that may be cut off or fail while it is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <span>

namespace dhsa {

// Throws Error where the file cannot be read, is no file or a Git-LFS pointer.
//
// A page that has gone from the disk would end the process (SIGBUS). Here it reads as zeros, so that whoever has copied
// what was needed calls check(), and only then trusts it.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  // Throws Error if the file was written to or cut off since it was opened, or its disk could not be read.
  void check() const;

  // Where a map lies, for the handler of the signal, which may take no lock. 0 to 0: free.
  struct Range {
    std::atomic<std::uintptr_t> begin{0}, end{0};
    std::atomic<bool> lost{false};  // a page of it could not be read
  };

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
  Range* range_ = nullptr;
  int descriptor_ = -1;
  std::timespec written_{};
};

}  // namespace dhsa
