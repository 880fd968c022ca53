// The files that lie beside a model's weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace dhsa {

// The most bytes that are read of a JSON file of a model, or of a header in JSON: hundreds of times what a published
// one has, and few enough that the worst of them takes half a gigabyte of memory.
inline constexpr std::size_t kMostModelJson = std::size_t{16} << 20U;

// As read_file(), and throws Error with what to do where the file is a pipe or a device (which nobody waits for),
// empty, a link to nothing or a Git-LFS pointer.
[[nodiscard]] std::string read_model_file(const std::filesystem::path& path, std::size_t most);

// The small text that Git-LFS leaves in place of a large file that was not fetched.
[[nodiscard]] bool is_lfs_pointer(const std::filesystem::path& path);

}  // namespace dhsa
