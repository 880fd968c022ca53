// A hash of token ids: what a text is told from others of its length by, where a drawing has to differ. No proof of
// equality, see sha256().
#pragma once

#include <cstdint>
#include <span>

namespace dhsa {

[[nodiscard]] constexpr std::uint64_t hash_of(std::span<const std::int32_t> ids) noexcept {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a, 64 bits
  for (const std::int32_t id : ids) {
    auto value = static_cast<std::uint32_t>(id);
    for (int byte = 0; byte < 4; ++byte, value >>= 8U) hash = (hash ^ (value & 0xffU)) * 1099511628211U;
  }
  return hash;
}

}  // namespace dhsa
