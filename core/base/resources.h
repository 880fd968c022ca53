// Files that come with the program: the demo model, the sample document.
#pragma once

#include <filesystem>
#include <string>

namespace dhsa {

// Folder that holds the running program.
[[nodiscard]] std::filesystem::path executable_folder();

// A shipped file or folder, for example resource_path("models/demo"). Looks in the folder the environment variable
// DHSA_RESOURCES names if it is set, else in <prefix>/share/dhsa-explorer of an installed program, else in the source
// tree above a build folder. Throws Error if it is in none of them.
[[nodiscard]] std::filesystem::path resource_path(const std::string& relative);

}  // namespace dhsa
