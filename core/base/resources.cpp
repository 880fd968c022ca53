#include "core/base/resources.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "core/base/error.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

fs::path executable_folder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (failed) throw Error("The program cannot find its own folder: /proc/self/exe is not readable; mount /proc.");
  return program.parent_path();
}

fs::path resource_path(const std::string& relative) {
  // A set variable decides alone: falling back would hide a mistyped folder.
  if (const char* folder = std::getenv("DHSA_RESOURCES"); folder != nullptr && *folder != '\0') {
    const fs::path found = fs::path(folder) / relative;
    if (present(found)) return found;
    throw Error(fmt::format("\"{}\" is not in \"{}\", the folder that DHSA_RESOURCES names; correct or unset it.",
                            relative, folder));
  }
  const fs::path start = executable_folder();
  if (fs::path found = (start / "../share/dhsa-explorer" / relative).lexically_normal(); present(found)) return found;
  for (fs::path folder = start;; folder = folder.parent_path()) {
    const fs::path resources = folder / "resources";
    // models/demo tells our folder from any other that is called resources.
    if (present(resources / "models/demo") && present(resources / relative)) return resources / relative;
    if (folder == folder.parent_path()) break;
  }
  throw Error(
      fmt::format("\"{}\" was not found for the program in \"{}\"; install it again or set DHSA_RESOURCES to the "
                  "folder with models/ and documents/.",
                  relative, start.string()));
}

}  // namespace dhsa
