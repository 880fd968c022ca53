#include "core/files/leftovers.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <vector>

namespace dhsa {

namespace fs = std::filesystem;

fs::path lock_beside(const fs::path& path) {
  std::string name = path.filename().string();
  constexpr std::size_t kMost = 200;  // the whole name may have 255
  if (name.size() > kMost) name.erase(0, name.size() - kMost);
  return path.parent_path() / (".dhsa-" + name + ".lock");
}

bool is_leftover(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".dhsa-") && (name.ends_with(".part") || name.ends_with(".lock"));
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
    // An AtomicFile holds its lock until the file has its name, a FileLock as long as it lives.
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
    ::close(file);
  }
}

}  // namespace dhsa
