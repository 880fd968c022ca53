#include "core/files/atomic_write.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <system_error>

#include "core/base/error.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

// What to do about a fault, as the second half of a sentence; empty where there is nothing to add.
const char* advice(int fault) {
  switch (fault) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
      return "; choose a folder that you may write to";
    case ENOENT:
    case ENOTDIR:
      return "; create its folder first or choose another";
    case EISDIR:
      return "; give the name of a file";
    case EFBIG:
      return "; raise the limit on file sizes or write less";
    case ENAMETOOLONG:
      return "; choose a shorter name";
    default:
      return "";
  }
}

std::string reason(int fault) { return std::generic_category().message(fault); }

std::string random_name() {
  // Not seeded by time: two programs may begin to write the same folder at once.
  std::random_device source;
  return fmt::format(".dhsa-{:08x}{:08x}.part", source(), source());
}

// So that remove_leftovers() leaves it alone. False where that was quicker and has taken its name.
bool lock(int descriptor) {
  struct stat made {};
  return ::flock(descriptor, LOCK_EX) != 0 || ::fstat(descriptor, &made) != 0 || made.st_nlink > 0;
}

[[noreturn]] void refuse_read(const fs::path& path, int fault) {
  const char* what = fault == EACCES || fault == EPERM ? "; ask for the right to read it" : "; check the name";
  throw Error(fmt::format("{}: cannot be read: {}{}.", path.string(), reason(fault), what));
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  struct stat found {};
  mode_t mode = 0;
  if (::stat(path_.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) {
      errno = EISDIR;
      fail("written");
    }
    if (!S_ISREG(found.st_mode)) {
      // A terminal, a pipe, /dev/null: renaming over it would destroy it, so it is written straight.
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor_ < 0) fail("opened");
      return;
    }
    mode = found.st_mode & 07777U;
    // A link stays a link: what it points to is replaced.
    std::error_code failed;
    if (fs::path target = fs::canonical(path_, failed); !failed) path_ = std::move(target);
  }
  if (!path_.has_filename()) {
    errno = EISDIR;
    fail("written");
  }
  do {
    temporary_ = path_.parent_path() / random_name();
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 && !lock(descriptor_)) {
      ::close(descriptor_);
      descriptor_ = -1;
      errno = EEXIST;
    }
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("created");
  }
  // What the replaced file allowed, the new one allows; failing in that loses nothing.
  if (mode != 0) (void)::fchmod(descriptor_, mode);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* doing) const {
  const int fault = errno;
  throw Error(fmt::format("{}: cannot be {}: {}{}.", path_.string(), doing, reason(fault), advice(fault)));
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  if (descriptor_ < 0) throw Error(fmt::format("{}: written to after it was finished.", path_.string()));
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, at, std::min(bytes, std::size_t{1} << 30U));
    if (done < 0) {
      if (errno == EINTR) continue;
      fail("written");
    }
    at += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) { write(bytes.data(), bytes.size()); }

void AtomicFile::write(std::string_view text) { write(text.data(), text.size()); }

void AtomicFile::commit() {
  if (descriptor_ < 0) throw Error(fmt::format("{}: finished twice.", path_.string()));
  // A pipe or a device has nothing to flush and says EINVAL.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) fail("written");
  // Keeps the lock, see remove_leftovers(), until the file has its name.
  struct Held {
    int descriptor;
    ~Held() {
      if (descriptor >= 0) ::close(descriptor);
    }
  } const held{::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0)};
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  // Some file systems report a full disk only here.
  if (closed != 0 && errno != EINTR) fail("written");
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("put in place");
  temporary_.clear();
  // So that the new name outlives a power cut; the file is in place already, hence no fault here undoes it.
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  if (const int at = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); at >= 0) {
    (void)::fsync(at);
    ::close(at);
  }
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::string read_file(const fs::path& path, std::size_t most) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) refuse_read(path, errno);
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } const closer{descriptor};
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) refuse_read(path, errno);
  if (S_ISDIR(found.st_mode)) throw Error(fmt::format("{}: is a folder; a file is expected.", path.string()));
  const auto too_large = [&] {
    return Error(fmt::format("{}: larger than {} bytes, the most that is read of such a file.", path.string(), most));
  };
  std::string text;
  if (S_ISREG(found.st_mode)) {
    if (static_cast<std::uint64_t>(found.st_size) > most) throw too_large();
    text.reserve(static_cast<std::size_t>(found.st_size));
  }
  // Read to the end, whatever the size said: files of /proc say 0 and a pipe says nothing.
  std::array<char, 1U << 16U> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
  for (;;) {
    const ssize_t got = ::read(descriptor, block.data(), block.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      refuse_read(path, errno);
    }
    if (got == 0) return text;
    if (static_cast<std::size_t>(got) > most - text.size()) throw too_large();
    text.append(block.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace dhsa
