#include "core/files/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "core/base/error.h"
#include "core/files/lfs_pointer.h"

namespace dhsa {
namespace {

std::array<MappedFile::Range, 1024> ranges;
struct sigaction earlier {};  // who was asked before us

// Puts zeros in place of what cannot be read, from the page at fault to the end of its file. Calls nothing that a
// handler of a signal may not call.
void put_zeros(int signal, siginfo_t* info, void* /*context*/) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (MappedFile::Range& range : ranges) {
    const std::uintptr_t end = range.end;
    if (at < range.begin || at >= end) continue;
    const auto page = at & ~(static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE)) - 1);
    range.lost = true;
    if (::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        MAP_FAILED) {
      return;
    }
  }
  ::sigaction(signal, &earlier, nullptr);  // not ours: the fault comes again, to them
}

MappedFile::Range* take_range(std::uintptr_t begin, std::uintptr_t end) {
  static const bool watching = [] {
    struct sigaction action {};
    action.sa_sigaction = put_zeros;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    return ::sigaction(SIGBUS, &action, &earlier) == 0;
  }();
  for (MappedFile::Range& range : ranges) {
    std::uintptr_t free = 0;
    if (!watching || !range.begin.compare_exchange_strong(free, begin)) continue;
    range.end = end;
    return &range;
  }
  return nullptr;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const auto fault = [&](const char* doing) {
    return Error(fmt::format("{}: cannot be {}: {}; check the name and whether you may read it.", path.string(), doing,
                             std::generic_category().message(errno)));
  };
  // Not to wait for the other end if somebody names a pipe.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw fault("opened");
  struct Closer {
    int descriptor;
    ~Closer() {
      if (descriptor >= 0) ::close(descriptor);
    }
  } closer{descriptor};
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) throw fault("read");
  if (!S_ISREG(found.st_mode))
    throw Error(
        fmt::format("{}: is not a file but a folder, a pipe or a device; put the model's file there.", path.string()));
  const auto size = static_cast<std::size_t>(found.st_size);
  if (size == 0) return;
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (map == MAP_FAILED) throw fault("mapped");
  const auto begin = reinterpret_cast<std::uintptr_t>(map);
  range_ = take_range(begin, begin + size);
  try {
    if (range_ == nullptr) {
      throw Error(fmt::format("{}: is one file too many to read at once; join the shards.", path.string()));
    }
    refuse_lfs_pointer({static_cast<const char*>(map), std::min<std::size_t>(size, 64)}, path);
  } catch (...) {
    ::munmap(map, size);
    if (range_ != nullptr) range_->end = range_->begin = 0;
    throw;
  }
  bytes_ = {static_cast<const std::byte*>(map), size};
  written_ = found.st_mtim;
  descriptor_ = std::exchange(closer.descriptor, -1);
}

MappedFile::~MappedFile() {
  if (range_ == nullptr) return;
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  ::close(descriptor_);
  range_->end = 0;
  range_->lost = false;
  range_->begin = 0;  // last: whoever finds it free takes it
}

void MappedFile::check() const {
  if (range_ == nullptr) return;
  struct stat now {};
  const bool known = ::fstat(descriptor_, &now) == 0;
  const bool as_before = known && static_cast<std::size_t>(now.st_size) == bytes_.size() &&
                         now.st_mtim.tv_sec == written_.tv_sec && now.st_mtim.tv_nsec == written_.tv_nsec;
  if (!as_before) {
    throw Error(fmt::format("{}: was cut off or written to while it was read; open it again once it is whole.",
                            path_.string()));
  }
  if (range_->lost) {
    throw Error(fmt::format("{}: cannot be read from its disk; check the disk, or download it again.", path_.string()));
  }
}

}  // namespace dhsa
