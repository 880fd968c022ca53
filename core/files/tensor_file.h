// What files of tensors have in common: a read-only memory map, and where in it each tensor lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/files/mapped_file.h"

namespace dhsa {

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
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& name) const;  // mapped: see check()
  // To be called once what was needed of bytes() is copied: MappedFile::check().
  void check() const { file_.check(); }

 protected:
  explicit TensorFile(const std::filesystem::path& path) : path_(path), file_(path) {}

  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorInfo> tensors_;
  std::uint64_t data_at_ = 0;
};

}  // namespace dhsa
