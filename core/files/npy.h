// NumPy's .npy and .npz (uncompressed zip): what masks, scores and attention rows are exported as.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace dhsa {

class AtomicFile;

// Row-major, little-endian array. `descr` is NumPy's: "<f4", "<f8", "<i4", "<i8", "|u1", "|b1".
struct NpyArray {
  std::string descr;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  // T: float, double, std::int32_t, std::int64_t, std::uint8_t or bool. Without a shape, one axis.
  template <class T>
  [[nodiscard]] static NpyArray of(std::span<const T> values, std::vector<std::int64_t> shape = {});
  template <class T>
  [[nodiscard]] std::vector<T> values() const;  // throws Error if descr is another type
};

[[nodiscard]] std::vector<std::byte> npy_bytes(const NpyArray& array);
[[nodiscard]] NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where);
void write_npy(const std::filesystem::path& path, const NpyArray& array);
[[nodiscard]] NpyArray read_npy(const std::filesystem::path& path);
// Deterministic bytes: entries in map order, stored, fixed time stamp, CRC-32; ZIP64 where sizes need it.
void write_npz(const std::filesystem::path& path, const std::map<std::string, NpyArray>& arrays);
void write_npz(AtomicFile& file, const std::map<std::string, NpyArray>& arrays);  // the caller commits
[[nodiscard]] std::map<std::string, NpyArray> parse_npz(std::span<const std::byte> bytes, const std::string& where);
[[nodiscard]] std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path);

}  // namespace dhsa
