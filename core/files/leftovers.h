// What an AtomicFile leaves behind where its process was killed.
#pragma once

#include <filesystem>

namespace dhsa {

// By its name, also where it is still being written.
[[nodiscard]] bool is_leftover(const std::filesystem::path& path);
// Removes those of a folder that no process is writing; what cannot be removed stays.
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace dhsa
