// FNV-1a, 64 bits: what texts of the same length are told apart by, and files. No proof of equality, see sha256().
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace dhsa {

static_assert(std::endian::native == std::endian::little, "ids are hashed as they lie in memory");

// `hash` is that of what comes before, or where to begin.
[[nodiscard]] inline std::uint64_t hash_of(std::span<const std::byte> bytes,
                                           std::uint64_t hash = 14695981039346656037U) noexcept {
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211U;
  return hash;
}
[[nodiscard]] inline std::uint64_t hash_of(std::span<const std::int32_t> ids) noexcept {
  return hash_of(std::as_bytes(ids));
}

}  // namespace dhsa
