// Files that are there whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace dhsa {

// Writes to a hidden sibling, flushes to disk on commit() and renames over `path`; without commit() nothing is left.
// Every fault (no folder, no permission, full disk) throws Error naming the path.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_file(const std::filesystem::path& path, std::string_view text);
// Whole file; Error if absent, a folder, or larger than `most` bytes.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::size_t most = std::size_t{1} << 32U);

}  // namespace dhsa
