#include "core/files/leftovers.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <vector>

namespace dhsa {

namespace fs = std::filesystem;

bool is_leftover(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".dhsa-") && name.ends_with(".part");
}

void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    if (is_leftover(entry.path())) found.push_back(entry.path());
  }
  for (const fs::path& path : found) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) continue;
    // An AtomicFile holds its lock until the file has its name.
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
    ::close(file);
  }
}

}  // namespace dhsa
