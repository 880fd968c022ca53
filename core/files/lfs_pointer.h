// The small text that Git-LFS leaves in place of a large file that was not fetched.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace dhsa {

inline constexpr std::string_view kLfsPointer = "version https://git-lfs";

// Throws Error if a file that begins with `head` is one.
inline void refuse_lfs_pointer(std::string_view head, const std::filesystem::path& path) {
  if (!head.starts_with(kLfsPointer)) return;
  throw Error(path.string() +
              ": is a Git-LFS pointer and not the file itself; run \"git lfs pull\" in its folder or download it.");
}

}  // namespace dhsa
