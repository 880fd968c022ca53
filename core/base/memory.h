// What this process uses, from the kernel's own accounts (Linux).
#pragma once

#include <cstdint>

namespace dhsa {

[[nodiscard]] std::int64_t resident_bytes();       // VmRSS
[[nodiscard]] std::int64_t peak_resident_bytes();  // VmHWM since start or the last reset
void reset_peak_resident();                        // returns freed heap to the system, then resets VmHWM
[[nodiscard]] std::int64_t available_bytes();      // MemAvailable, less where a cgroup limit is tighter

}  // namespace dhsa
