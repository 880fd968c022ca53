// What an AtomicFile and a FileLock leave behind where their process was killed.
#pragma once

#include <filesystem>

namespace dhsa {

// The file by which a FileLock holds `path`.
[[nodiscard]] std::filesystem::path lock_beside(const std::filesystem::path& path);
// By its name, also where it is still in use.
[[nodiscard]] bool is_leftover(const std::filesystem::path& path);
// Removes those of a folder that no process uses; what cannot be removed stays.
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace dhsa
