#include "core/files/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/files/leftovers.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

// Whoever took the lock has written its process into it.
std::string holder(int descriptor) {
  char text[16] = {};
  const ssize_t got = ::pread(descriptor, text, sizeof text - 1, 0);
  return got > 0 ? fmt::format(" (process {})", text) : std::string();
}

}  // namespace

FileLock::FileLock(const fs::path& path) {
  std::error_code failed;
  if (const auto found = fs::status(path, failed); fs::exists(found) && !fs::is_regular_file(found)) return;
  // By a link too: what it points to is what is written.
  const fs::path file = fs::weakly_canonical(fs::absolute(path), failed);
  beside_ = lock_beside(file);
  while (true) {
    const int descriptor = ::open(beside_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) return;  // who writes there will say why
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const bool held = errno == EWOULDBLOCK;
      const std::string by = holder(descriptor);
      ::close(descriptor);
      if (!held) return;
      throw Error(
          fmt::format("{}: another program{} works on it; wait for its end or name another file.", path.string(), by));
    }
    struct stat found {};
    if (::fstat(descriptor, &found) == 0 && found.st_nlink == 0) {  // its holder has just left
      ::close(descriptor);
      continue;
    }
    descriptor_ = descriptor;
    const std::string process = std::to_string(::getpid());
    const bool told = ::ftruncate(descriptor, 0) == 0 &&
                      ::pwrite(descriptor, process.data(), process.size(), 0) == static_cast<ssize_t>(process.size());
    (void)told;  // on a full disk the lock has no name, and holds all the same
    return;
  }
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  ::unlink(beside_.c_str());
  ::close(descriptor_);
}

FileLock::FileLock(FileLock&& other) noexcept
    : beside_(std::move(other.beside_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(beside_, other.beside_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

}  // namespace dhsa
