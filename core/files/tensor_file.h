// What files of tensors have in common: a read-only memory map, and where in it each tensor lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace dhsa {

// A whole file in memory, read-only. Throws Error where it cannot be read, is no file or a Git-LFS pointer.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

struct TensorInfo {
  std::string dtype;  // "F32", "BF16", "F16", "I32", ... as the file says; "Q8_0" in GGUF files only
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // byte range inside the data buffer
  std::uint64_t end = 0;
  [[nodiscard]] std::int64_t elements() const;
};

// Data may be unaligned: copy out or use unaligned loads.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const std::map<std::string, TensorInfo>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] bool contains(const std::string& name) const { return tensors_.contains(name); }
  [[nodiscard]] const TensorInfo& info(const std::string& name) const;            // throws Error if absent
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& name) const;  // mapped

 protected:
  explicit TensorFile(const std::filesystem::path& path) : path_(path), file_(path) {}

  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorInfo> tensors_;
  std::uint64_t data_at_ = 0;
};

}  // namespace dhsa
