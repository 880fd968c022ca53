// The part of the zip format that .npz needs: stored entries, CRC-32, ZIP64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/files/atomic_write.h"

namespace dhsa {

struct ZipEntry {
  std::string name;
  std::vector<std::span<const std::byte>> parts;  // written one after the other
};

// Sizes and offsets from `zip64_from` on go to ZIP64 fields; only tests set another limit than the format's.
void write_stored_zip(AtomicFile& file, const std::vector<ZipEntry>& entries, std::uint64_t zip64_from = 0xFFFFFFFFU);
// Name and bytes of every entry, in the order of the directory. Throws Error on a compressed or damaged one.
[[nodiscard]] std::vector<std::pair<std::string, std::span<const std::byte>>> read_stored_zip(
    std::span<const std::byte> bytes, const std::string& where);

}  // namespace dhsa
