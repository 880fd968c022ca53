// NumPy's .npz (uncompressed zip): what masks, scores and attention rows are exported as.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace dhsa {

class AtomicFile;

// Row-major, little-endian array. `descr` is NumPy's: "<f4", "<f8", "<i4", "<i8", "|u1".
struct NpyArray {
  std::string descr;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  // T: float, double, std::int32_t, std::int64_t or std::uint8_t. Without a shape, one axis.
  template <class T>
  [[nodiscard]] static NpyArray of(std::span<const T> values, std::vector<std::int64_t> shape = {});
  template <class T>
  [[nodiscard]] std::vector<T> values() const;  // throws Error if descr is another type
};

// Deterministic bytes: entries in map order, stored, fixed time stamp, CRC-32; ZIP64 where sizes need it.
void write_npz(AtomicFile& file, const std::map<std::string, NpyArray>& arrays);  // the caller commits

}  // namespace dhsa
