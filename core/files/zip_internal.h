// The part of the zip format that .npz needs: stored entries, CRC-32, ZIP64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/files/atomic_write.h"

namespace dhsa {

struct ZipEntry {
  std::string name;
  std::vector<std::span<const std::byte>> parts;  // written one after the other
};

// Sizes and offsets from `zip64_from` on go to ZIP64 fields; only tests set another limit than the format's.
void write_stored_zip(AtomicFile& file, const std::vector<ZipEntry>& entries, std::uint64_t zip64_from = 0xFFFFFFFFU);

}  // namespace dhsa
