#include "core/base/memory.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace dhsa {
namespace {

// Value in bytes of a "Name:   1234 kB" line; -1 where the file or the line is missing.
std::int64_t kilobyte_line(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name)) return std::stoll(line.substr(name.size())) * 1024;
  }
  return -1;
}

std::int64_t number_in(const char* file) {
  std::ifstream in(file);
  std::int64_t value = -1;
  return in >> value ? value : -1;  // "max" does not parse: no limit
}

}  // namespace

std::int64_t resident_bytes() { return std::max<std::int64_t>(0, kilobyte_line("/proc/self/status", "VmRSS:")); }

std::int64_t peak_resident_bytes() { return std::max<std::int64_t>(0, kilobyte_line("/proc/self/status", "VmHWM:")); }

void reset_peak_resident() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
}

std::int64_t available_bytes() {
  std::int64_t free = kilobyte_line("/proc/meminfo", "MemAvailable:");
  if (free < 0) free = std::numeric_limits<std::int64_t>::max();
  const std::int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::int64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit >= 0 && used >= 0) free = std::min(free, std::max<std::int64_t>(0, limit - used));
  return free;
}

}  // namespace dhsa
