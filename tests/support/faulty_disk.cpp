#include "tests/support/faulty_disk.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

namespace dhsa::test {
namespace {

// Plain globals: open() is called before any constructor has run.
char watched[4096];  // the folder; empty: no fault
Fault fault;
int wanted;
std::atomic<int>* calls;  // shared with the processes that are forked

template <class Function>
Function* original(const char* name, Function* /*its type*/) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool is_watched(const char* path) {
  const std::size_t length = std::strlen(watched);
  return length > 0 && std::strncmp(path, watched, length) == 0;
}

bool is_watched(int descriptor) {
  if (watched[0] == '\0') return false;
  char path[4096] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  return readlink(link.c_str(), path, sizeof path - 1) > 0 && is_watched(path);
}

enum class Turn { kAsEver, kFails, kFirstFailure };
// Of one more call; does not return where it is the one to be killed at, but for a write, which is half done first.
Turn turn(bool in_write = false) {
  const int call = ++*calls;
  if (call < wanted) return Turn::kAsEver;
  if (fault == Fault::kKilled && !in_write) raise(SIGKILL);
  return call == wanted ? Turn::kFirstFailure : Turn::kFails;
}

int full() {
  errno = ENOSPC;
  return -1;
}

}  // namespace

FaultyDisk::FaultyDisk(const std::filesystem::path& folder, Fault kind, int at) {
  void* memory = mmap(nullptr, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  calls = new (memory) std::atomic<int>(0);
  fault = kind;
  wanted = at;
  std::strncpy(watched, std::filesystem::canonical(folder).c_str(), sizeof watched - 1);
}

FaultyDisk::~FaultyDisk() {
  watched[0] = '\0';
  munmap(calls, sizeof *calls);
}

bool FaultyDisk::met() const { return *calls >= wanted; }

}  // namespace dhsa::test

// The C library's own declarations hold for these.
using dhsa::test::full;
using dhsa::test::is_watched;
using dhsa::test::original;
using dhsa::test::Turn;
using dhsa::test::turn;

extern "C" {

ssize_t write(int descriptor, const void* data, size_t bytes) {
  static const auto next = original("write", &write);
  if (!is_watched(descriptor)) return next(descriptor, data, bytes);
  const Turn now = turn(true);
  if (now == Turn::kAsEver) return next(descriptor, data, bytes);
  if (dhsa::test::fault == dhsa::test::Fault::kKilled) {
    (void)!next(descriptor, data, bytes / 2);
    raise(SIGKILL);
  }
  return now == Turn::kFirstFailure && bytes > 1 ? next(descriptor, data, bytes / 2) : full();
}

int open(const char* path, int flags, ...) {
  static const auto next = original("open", &open);
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : mode_t{0};
  va_end(arguments);
  if ((flags & O_CREAT) != 0 && is_watched(path) && turn() != Turn::kAsEver) return full();
  return next(path, flags, mode);
}

int fsync(int descriptor) {
  static const auto next = original("fsync", &fsync);
  return is_watched(descriptor) && turn() != Turn::kAsEver ? full() : next(descriptor);
}

int rename(const char* from, const char* to) noexcept {
  static const auto next = original("rename", &rename);
  return is_watched(to) && turn() != Turn::kAsEver ? full() : next(from, to);
}

}  // extern "C"
